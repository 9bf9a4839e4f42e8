"""The last seconds of audio, by position."""

import numpy as np

from nur_server.session.recent import KEPT_SECONDS, RecentAudio

RATE = 16_000


def test_audio_is_found_by_its_position() -> None:
    recent = RecentAudio()
    for number in range(10):
        recent.append(np.full(320, number, np.int16))
    start, samples = recent.since(3 * 320)
    assert start == 960
    assert samples[0] == 3 and samples[-1] == 9 and len(samples) == 7 * 320


def test_what_is_older_than_kept_starts_with_the_oldest() -> None:
    recent = RecentAudio()
    for _ in range(10 * 50):
        recent.append(np.zeros(320, np.int16))
    start, samples = recent.since(0)
    assert start + len(samples) == recent.end == 10 * RATE
    assert KEPT_SECONDS * RATE <= len(samples) < KEPT_SECONDS * RATE + 320


def test_a_position_that_has_not_come_yet_gives_nothing() -> None:
    recent = RecentAudio()
    recent.append(np.zeros(320, np.int16))
    start, samples = recent.since(1000)
    assert (start, len(samples)) == (320, 0)
