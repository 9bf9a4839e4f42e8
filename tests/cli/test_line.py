import wave
from pathlib import Path

import numpy as np

from nur_server.audio.wav import WavWriter
from nur_server.cli.line import RATE, STEP, Line, silence
from nur_server.ports import Samples


def tone(steps: float, level: int = 5000) -> Samples:
    return np.full(round(steps * STEP), level, np.int16)


def test_what_the_agent_says_is_heard_in_order_and_once() -> None:
    line = Line()
    line.receive("r1", tone(1.5, 1000).tobytes())
    line.receive("r2", tone(1, 2000).tobytes())
    heard = np.concatenate([line.step(silence()) for _ in range(4)])
    assert heard.tolist() == [1000] * 720 + [2000] * 480 + [0] * 720
    assert line.heard_of("r1").tolist() == [1000] * 720
    assert line.heard_of("r2").tolist() == [2000] * 480
    assert line.agent_heard_at == 3 * STEP - 240
    assert not line.has_more


def test_what_was_cut_off_is_not_heard() -> None:
    line = Line()
    line.receive("r1", tone(3, 1000).tobytes())
    line.receive("r2", tone(1, 2000).tobytes())
    line.step(silence())
    line.drop("r1")
    assert line.step(silence()).tolist() == [2000] * STEP
    assert len(line.heard_of("r1")) == STEP


def test_knows_where_the_callers_speech_ended() -> None:
    line = Line()
    line.step(silence())
    line.step(np.concatenate([tone(0.5), np.zeros(240, np.int16)]))
    line.step(tone(1, level=20))
    assert line.voice_ended_at == STEP + 240
    assert line.position == 3 * STEP


def test_records_the_caller_on_the_left_and_the_agent_on_the_right(tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    with Line(WavWriter(file, RATE, channels=2)) as line:
        line.step(tone(1, 3000))
        line.receive("r1", tone(1, -4000).tobytes())
        line.step(silence())
    with wave.open(str(file)) as recorded:
        assert (recorded.getnchannels(), recorded.getframerate()) == (2, RATE)
        frames = np.frombuffer(recorded.readframes(recorded.getnframes()), "<i2").reshape(-1, 2)
    assert frames[:STEP].tolist() == [[3000, 0]] * STEP
    assert frames[STEP:].tolist() == [[0, -4000]] * STEP
