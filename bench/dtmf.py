"""How well keys and beeps are recognised: `python -m bench.dtmf`.

Keys through noise and mu-law, beeps behind speech, and neither in speech alone. The speech is the
embedded synthesiser's, so it says less than recordings of people would.
"""

import asyncio
import time
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray

from nur_server.audio import g711
from nur_server.audio.beep import BeepDetector
from nur_server.audio.dtmf import RATE, DigitDetector, tones
from nur_server.audio.resample import resample
from nur_server.ports import SpeakRequest
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings

Samples = NDArray[np.int16]

KEYS = "0123456789*#ABCD" * 25
BEEPS_HZ = (440, 620, 853, 1000, 1400, 2000)
VOICES = 10
LISTEN_RATE = 16_000
TEXT = (
    "You have reached the voicemail of Barbara Miller. I am sorry that I cannot take your call. "
    "Please leave your name and your number after the tone, and I will call you back on Tuesday. "
    "Oh, and if it is about the garden: no, we do not need any more tomatoes, thank you. "
)


def noisy(samples: Samples, snr_db: float, level: float) -> Samples:
    noise = np.random.default_rng(1).normal(0, level / 10 ** (snr_db / 20), len(samples))
    return np.clip(samples + noise, -32768, 32767).astype(np.int16)


def keys_in(samples: Samples) -> tuple[str, float]:
    """The keys, and the microseconds spent on 20 ms of audio."""
    detector = DigitDetector()
    began = time.process_time()
    found = [detector.hear(samples[i : i + 160]) for i in range(0, len(samples), 160)]
    return "".join(found), (time.process_time() - began) / len(found) * 1e6


def beeps_in(samples: Samples) -> tuple[int, float]:
    """The beeps, and the microseconds spent on 20 ms of audio."""
    detector = BeepDetector(LISTEN_RATE)
    began = time.process_time()
    found = [detector.hear(samples[i : i + 320]) for i in range(0, len(samples), 320)]
    return sum(found), (time.process_time() - began) / len(found) * 1e6


async def speech() -> list[Samples]:
    """At 16 kHz, one recording per voice."""
    catalogue = await Catalogue.load(Settings())
    try:
        engine = catalogue.text_to_speech().engine
        made = []
        for voice in catalogue.voices()[:VOICES]:
            request = SpeakRequest(TEXT, catalogue.engine_voice(voice, engine))
            async with aclosing(engine.speak(request)) as chunks:
                parts = [resample(c.samples, c.sample_rate, LISTEN_RATE) async for c in chunks]
            made.append(np.concatenate(parts))
        return made
    finally:
        await catalogue.close()


def main() -> None:
    sound = tones(KEYS)
    network = g711.decode(g711.encode(sound, "mulaw"), "mulaw")
    conditions = {"clean": sound, "mu-law": network}
    conditions |= {f"{snr} dB": noisy(network, snr, 5600) for snr in (30, 15, 10)}
    for name, samples in conditions.items():
        found, cost = keys_in(samples)
        right = "all" if found == KEYS else "NOT ALL"
        print(f"keys, {name}: {len(found)} of {len(KEYS)}, {right} right; {cost:.0f} us per 20 ms")
    recordings = asyncio.run(speech())
    seconds = sum(map(len, recordings)) / LISTEN_RATE
    false_keys = sum(len(keys_in(resample(r, LISTEN_RATE, RATE))[0]) for r in recordings)
    judged = [beeps_in(recording) for recording in recordings]
    print(f"speech, {len(recordings)} voices, {seconds:.0f} s: {false_keys} false keys, ", end="")
    print(f"{sum(n for n, _ in judged)} false beeps; beeps cost {judged[0][1]:.0f} us per 20 ms")
    pause = np.zeros(LISTEN_RATE // 2, np.int16)
    at = np.arange(int(LISTEN_RATE * 0.4)) / LISTEN_RATE
    for snr in (40, 20, 15):
        heard = 0
        for recording in recordings:
            for hz in BEEPS_HZ:
                beep = (5000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)
                whole = np.concatenate([recording, pause, beep, pause])
                heard += beeps_in(noisy(whole, snr, 3500))[0] == 1
        print(f"beeps after speech, {snr} dB: {heard} of {len(recordings) * len(BEEPS_HZ)}")


if __name__ == "__main__":
    main()
