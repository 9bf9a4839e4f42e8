"""What one message on the socket costs, in microseconds.

    python bench/wire.py

Each figure is the best of several rounds: what the work costs when nothing else runs.
"""

import base64
import json
import timeit
from collections.abc import Callable

import numpy as np

from nur_server.api.wire.realtime.codec import AudioFrames, RealtimeDialect, decode
from nur_server.api.wire.realtime.schemas import InputAudio
from nur_server.audio.formats import AudioFormat, Encoding, Inlet
from nur_server.clock import SystemClock
from nur_server.conversation.notices import AgentTranscriptDelta
from nur_server.meter import Allowance, AudioMeter

ROUNDS = 7
CALLS = 2_000
FRAME_SECONDS = 0.02


def microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def show(what: str, work: Callable[[], object]) -> None:
    print(f"{what:<58}{microseconds(work):8.2f} us")


def hear(audio: AudioFormat) -> Callable[[], object]:
    """Everything between a JSON text frame and samples for the session."""
    samples = int(audio.sample_rate * FRAME_SECONDS)
    data = np.random.default_rng(1).integers(0, 255, samples * audio.sample_bytes, np.uint8)
    text = json.dumps({"type": "input.audio", "audio": base64.b64encode(data.tobytes()).decode()})
    inlet = Inlet(audio)
    meter = AudioMeter(Allowance(), 0.0)

    def work() -> object:
        message = decode(text)
        assert isinstance(message, InputAudio)
        meter.admit(inlet.seconds(message.audio), 0.0)
        return inlet.accept(message.audio)

    return work


def main() -> None:
    pcm = AudioFormat(Encoding.PCM16, 24_000)
    frame = np.random.default_rng(1).integers(-9_000, 9_000, 480).astype(np.int16)
    text = json.dumps({"type": "input.audio", "audio": base64.b64encode(frame.tobytes()).decode()})
    update = json.dumps(
        {"type": "session.update", "session": {"system_prompt": "Be brief.", "tools": []}}
    )
    clock = SystemClock()
    as_json = RealtimeDialect(clock, AudioFrames.JSON)
    as_binary = RealtimeDialect(clock, AudioFrames.BINARY)
    delta = AgentTranscriptDelta("resp_1", "msg_1", " hello", 120, 310)

    print("20 ms of audio from a client")
    show("  decode input.audio (24 kHz PCM)", lambda: decode(text))
    for audio in (
        pcm,
        AudioFormat(Encoding.PCM16, 8_000),
        AudioFormat(Encoding.PCM16, 16_000),
        AudioFormat(Encoding.PCM16, 48_000),
        AudioFormat(Encoding.MULAW, 8_000),
    ):
        show(f"  to 16 kHz samples ({audio.encoding}, {audio.sample_rate} Hz)", hear(audio))
    print("20 ms of audio to a client")
    show("  encode reply.audio (24 kHz PCM)", lambda: as_json.audio("resp_1", frame))
    show("  encode a binary frame (24 kHz PCM)", lambda: as_binary.audio("resp_1", frame))
    print("other messages")
    show("  decode session.update", lambda: decode(update))
    show("  encode transcript.agent.delta", lambda: as_json.encode(delta))


if __name__ == "__main__":
    main()
