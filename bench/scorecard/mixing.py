"""The user's audio of a scene: spoken by the project's own engines, mixed for a condition."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.scorecard import sounds
from bench.scorecard.scenes import OPENING, Condition, Kind, Scene
from bench.scorecard.sounds import RATE, Sound
from nur_server.audio.resample import resample
from nur_server.audio.wav import read_wav
from nur_server.ports import SpeakRequest, TextToSpeech
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite

SPEECH_DB = -23.0
"""Level of the user's active speech, dBFS."""
USUAL_DB = (-3.0, 3.0)
"""How far the user's own level strays from one thing they say to the next."""
ASIDE_DB = (-14.0, -10.0)
"""How much quieter somebody further away is."""
NOISE_SECONDS = 12.0
"""Length of the background before it repeats."""
FADE = RATE // 100

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Take:
    """What the user says in a scene. Samples at 16 kHz."""

    opening: Samples
    """Before the agent's monologue; empty where the agent asks first."""
    speech: Samples
    pause: tuple[int, int] | None
    """Where the speech pauses."""
    noise: Samples
    """Played over and over behind everything."""


class Studio:
    """Makes takes, and keeps what the engines have spoken in a folder of the system's own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / "nur-scorecard"
        self._folder.mkdir(exist_ok=True)
        self._engines: dict[str, TextToSpeech] = {"flite": Flite(), "espeak": Espeak()}
        self._backgrounds: dict[str, Sound] = {}

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()  # type: ignore[attr-defined]

    async def take(self, scene: Scene, condition: Condition) -> Take:
        """The user's audio of a scene under a condition."""
        speech, pause = await self._speech(scene)
        opening = np.zeros(0, np.float32)
        if not scene.kind.is_turn:
            opening, _ = await self._say(OPENING, scene.voice)
            opening = at_level(opening, SPEECH_DB)
        if condition is Condition.TELEPHONE:
            opening, speech = telephone(opening), telephone(speech)
        return Take(
            to_int16(opening),
            to_int16(speech),
            pause,
            to_int16(await self._noise(scene, condition)),
        )

    async def _speech(self, scene: Scene) -> tuple[Sound, tuple[int, int] | None]:
        if scene.file is not None:
            sound = _as_sound(read_wav(scene.file, RATE))
            pause = scene.pause_at
            return sound, (int(pause[0] * RATE), int(pause[1] * RATE)) if pause else None
        is_aside = scene.kind in (Kind.ASIDE, Kind.QUIET_ASIDE)
        strays = np.random.default_rng(scene.seed).uniform(*(ASIDE_DB if is_aside else USUAL_DB))
        level_db = SPEECH_DB + float(strays)
        if scene.text.startswith("@"):
            noise = sounds.noise_of(scene.text[1:], _pitch(scene.voice), scene.seed)
            return at_level(noise, level_db), None
        if is_aside:
            sound, _ = await self._say(scene.text, scene.other_voice)
            return at_level(sounds.further_away(sound, scene.seed), level_db), None
        before, bar, after = scene.text.partition(" | ")
        text = f"{before} {after}" if bar else before
        sound, marks = await self._say(text, scene.voice)
        sound = at_level(sound, level_db)
        if scene.kind in (Kind.TURNED, Kind.QUIET_TURNED):
            is_covered = scene.seed % 2 == 0
            return (sounds.covered(sound) if is_covered else sounds.turned_away(sound)), None
        if not bar:
            return sound, None
        return _paused(sound, _begins(len(before) + 1, marks, text, sound), scene.pause_seconds)

    async def _noise(self, scene: Scene, condition: Condition) -> Sound:
        if condition.snr_db is None:
            return np.zeros(RATE, np.float32)
        if scene.noise not in self._backgrounds:
            voices = [
                (await self._say(OPENING, voice))[0]
                for voice in ("flite/slt", "flite/rms", "flite/awb", "flite/kal16")
            ]
            self._backgrounds[scene.noise] = sounds.background(
                scene.noise, NOISE_SECONDS, 1, voices
            )
        level = SPEECH_DB - condition.snr_db
        return np.asarray(self._backgrounds[scene.noise] * 10 ** (level / 20), np.float32)

    async def _say(self, text: str, voice: str) -> tuple[Sound, dict[int, int]]:
        """Speech without the silence around it, and where the word at each character begins."""
        digest = hashlib.sha256(f"{voice}\n{text}".encode()).hexdigest()[:20]
        file = self._folder / f"{digest}.npz"
        if file.exists():
            kept = np.load(file)
            sound, words = kept["sound"], kept["words"]
        else:
            sound, words = await self._synthesise(text, voice)
            np.savez(file, sound=sound, words=words)
        return sound, {int(character): int(start) for character, start in words}

    async def _synthesise(self, text: str, voice: str) -> tuple[Sound, NDArray[np.int64]]:
        engine, _, name = voice.partition("/")
        request = SpeakRequest(text, name)
        chunks = [chunk async for chunk in self._engines[engine].speak(request)]
        rate = chunks[0].sample_rate
        made = resample(np.concatenate([chunk.samples for chunk in chunks]), rate, RATE)
        sound = _as_sound(made)
        start, end = _span(sound)
        words = [
            (word.character, word.start_ms * RATE // 1000 - start)
            for chunk in chunks
            for word in chunk.words
        ]
        return sound[start:end], np.array(words, np.int64).reshape(-1, 2)


def _pitch(voice: str) -> float:
    name = voice.partition("/")[2]
    is_woman = name.startswith("slt") or "+f" in name
    return 195.0 if is_woman else 118.0


def _levels(sound: Sound) -> Sound:
    """RMS of frames of 10 ms."""
    frames = sound[: len(sound) // 160 * 160].reshape(-1, 160).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def _span(sound: Sound) -> tuple[int, int]:
    """Where the speech lies: frames within 40 dB of the loudest."""
    levels = _levels(sound)
    loud = np.flatnonzero(levels > levels.max() * 0.01)
    return int(loud[0]) * 160, int(loud[-1] + 1) * 160


def at_level(sound: Sound, level_db: float) -> Sound:
    """With its active frames, those within 30 dB of the loudest, at this RMS."""
    levels = _levels(sound)
    active = levels[levels > levels.max() * 0.03]
    rms = float(np.sqrt(np.mean(active.astype(np.float64) ** 2)))
    return np.asarray(sound * (10 ** (level_db / 20) / rms), np.float32)


def _begins(character: int, marks: dict[int, int], text: str, sound: Sound) -> int:
    """Where the word at `character` begins: its mark, or between the marks around it."""
    known = {0: 0} | marks | {len(text): len(sound)}
    characters = sorted(known)
    return int(np.interp(character, characters, [known[each] for each in characters]))


def _paused(sound: Sound, word: int, seconds: float) -> tuple[Sound, tuple[int, int]]:
    """A pause before the word that begins at about `word`, at the quietest point around it."""
    levels = _levels(sound)
    around = range(max(1, word // 160 - 5), min(len(levels) - 1, word // 160 + 4))
    cut = min(around, key=lambda frame: float(levels[frame])) * 160
    fade = np.linspace(1, 0, FADE, dtype=np.float32)
    before, after = sound[:cut].copy(), sound[cut:].copy()
    before[-FADE:] *= fade
    after[:FADE] *= fade[::-1]
    gap = int(seconds * RATE)
    return np.concatenate([before, np.zeros(gap, np.float32), after]), (cut, cut + gap)


def telephone(sound: Sound) -> Sound:
    """300–3400 Hz."""
    if not len(sound):
        return sound
    return sounds.shape(
        sound,
        lambda hertz: (
            1 / np.sqrt(1 + (300 / np.maximum(hertz, 1)) ** 8) / np.sqrt(1 + (hertz / 3400) ** 16)
        ),
    )


def _as_sound(samples: Samples) -> Sound:
    return np.asarray(samples / 32768, np.float32)


def to_int16(sound: Sound) -> Samples:
    return np.clip(sound * 32767, -32768, 32767).astype(np.int16)
