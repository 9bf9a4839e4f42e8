"""Pacing and heard audio, with a clock that the test moves."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from nur_server.audio.playout import FRAME_MS, LEAD_SECONDS, Playout, Samples

RATE = 8_000
FRAME = RATE * FRAME_MS // 1000


@dataclass
class Listener:
    """A playout and everything it does, at a time the test sets."""

    now: float = 0.0
    frames: list[tuple[float, Samples]] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.playout = Playout(
            RATE,
            send=lambda samples: self.frames.append((self.now, samples)),
            on_progress=self.progress.append,
            on_drained=self.drained.append,
        )

    def queue(self, seconds: float, value: int = 100) -> None:
        self.playout.queue(np.full(int(seconds * RATE), value, np.int16), self.now)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.playout.tick(self.now)

    @property
    def seconds_sent(self) -> float:
        return sum(len(samples) for _, samples in self.frames) / RATE


def released() -> Listener:
    listener = Listener()
    listener.playout.release(0.0)
    return listener


def test_nothing_plays_before_it_is_released() -> None:
    listener = Listener()
    listener.queue(1.0)
    listener.run(1.0)
    assert listener.frames == []
    listener.playout.release(listener.now)
    assert listener.frames


def test_the_first_frame_leaves_at_once() -> None:
    listener = released()
    listener.queue(1.0)
    assert listener.frames[0][0] == 0.0


def test_audio_leaves_at_the_pace_of_speech_and_a_little_ahead() -> None:
    listener = released()
    listener.queue(3.0)
    for _ in range(100):
        listener.run(0.02)
        ahead = listener.seconds_sent - listener.now
        assert 0 <= ahead <= LEAD_SECONDS + 0.021


def test_what_was_heard_is_what_time_has_reached() -> None:
    listener = released()
    listener.queue(3.0)
    listener.run(1.0)
    assert listener.seconds_sent > 1.0
    assert listener.playout.flush(listener.now) == pytest.approx(1000, abs=1)


def test_after_a_flush_nothing_leaves_any_more() -> None:
    listener = released()
    listener.queue(3.0)
    listener.run(1.0)
    listener.playout.flush(listener.now)
    sent = len(listener.frames)
    listener.queue(1.0)
    listener.run(1.0)
    assert len(listener.frames) == sent
    assert listener.drained == []


def test_it_is_drained_once_when_the_last_sample_was_heard() -> None:
    listener = released()
    listener.queue(0.5)
    listener.playout.finish(listener.now)
    listener.run(0.4)
    assert listener.drained == []
    listener.run(0.4)
    assert listener.drained == [500]


def test_a_response_without_audio_is_drained_at_once() -> None:
    listener = released()
    listener.playout.finish(listener.now)
    assert listener.drained == [0]


def test_the_last_frame_may_be_short_and_nothing_is_added() -> None:
    listener = released()
    listener.queue(0.513)
    listener.playout.finish(listener.now)
    listener.run(1.0)
    assert listener.seconds_sent == pytest.approx(0.513, abs=1 / RATE)


def test_progress_is_told_at_the_first_frame_and_then_now_and_again() -> None:
    listener = released()
    listener.queue(1.0)
    assert len(listener.progress) == 1
    listener.run(0.9)
    assert listener.progress == sorted(listener.progress)
    assert 8 <= len(listener.progress) <= 11


def test_held_audio_goes_on_where_it_stopped() -> None:
    listener = released()
    audio = np.arange(RATE, dtype=np.int16)
    listener.playout.queue(audio, 0.0)
    listener.run(0.3)
    listener.playout.hold(listener.now)
    sent = listener.seconds_sent
    listener.run(5.0)
    assert listener.seconds_sent == sent
    listener.playout.resume(listener.now)
    listener.playout.finish(listener.now)
    listener.run(1.5)
    assert np.array_equal(np.concatenate([frame for _, frame in listener.frames]), audio)


def test_volume_fades_within_one_frame() -> None:
    listener = released()
    listener.queue(1.0, value=10_000)
    listener.run(0.1)
    listener.playout.set_gain(0.5)
    before = len(listener.frames)
    listener.run(0.2)
    fade, after = listener.frames[before][1], listener.frames[before + 1][1]
    assert fade[0] == pytest.approx(10_000, abs=100) and fade[-1] == pytest.approx(5_000, abs=100)
    assert np.all(after == 5_000)


def test_late_audio_starts_the_clock_anew() -> None:
    listener = released()
    listener.queue(0.2)
    listener.run(2.0)
    listener.queue(0.5)
    listener.run(0.1)
    assert listener.seconds_sent <= 0.2 + 0.1 + LEAD_SECONDS + 0.021


def test_a_stalled_loop_is_caught_up_without_a_burst() -> None:
    listener = released()
    listener.queue(5.0)
    listener.run(0.5)
    sent = listener.seconds_sent
    listener.now += 1.0
    listener.playout.tick(listener.now)
    assert listener.seconds_sent - sent <= LEAD_SECONDS + 0.021
    assert listener.playout.underruns == 1


def test_a_client_that_plays_late_has_heard_less() -> None:
    listener = released()
    listener.queue(3.0)
    listener.run(1.0)
    listener.playout.observe(700, listener.now)
    assert listener.playout.heard_ms(listener.now) == pytest.approx(700, abs=1)
    listener.run(0.5)
    assert listener.playout.flush(listener.now) == pytest.approx(1200, abs=1)


def test_a_late_client_is_waited_for_at_the_end() -> None:
    listener = released()
    listener.queue(1.0)
    listener.playout.finish(listener.now)
    listener.run(0.5)
    listener.playout.observe(200, listener.now)
    listener.run(0.6)
    assert listener.drained == []
    listener.run(0.4)
    assert listener.drained == [1000]


def test_holding_and_resuming_at_once_sends_nothing_faster_than_it_is_heard() -> None:
    listener = released()
    listener.queue(2.0)
    listener.playout.finish(listener.now)
    listener.run(0.2)
    for _ in range(10):
        listener.playout.hold(listener.now)
        listener.playout.resume(listener.now)
        assert listener.seconds_sent <= listener.now + LEAD_SECONDS + FRAME_MS / 1000 + 1e-6
    listener.run(1.7)
    assert listener.drained == []
    listener.run(0.5)
    assert listener.drained == [2000]
