"""The two directions of a peer's audio, without a library and without a clock."""

import numpy as np
import pytest

from nur_server.transports.webrtc.audio import PIECE, SILENCE, TICK_SECONDS, Inbound, Outbound
from nur_server.transports.webrtc.media import VOICE_RATE

SOUND = (np.full(480, 5_000, np.int16).tobytes(), 48_000, 1)
"""10 ms of it."""


def heard(inbound: Inbound, ticks: list[int], start: float = 100.0) -> np.ndarray:
    """What comes of so many pieces at each tick."""
    parts = []
    for i, pieces in enumerate(ticks):
        part = inbound.take([SOUND] * pieces, start + i * TICK_SECONDS)
        if part is not None:
            parts.append(part)
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


@pytest.mark.parametrize(
    "ticks",
    [
        [2] * 100,
        [2] * 10 + [0] * 80 + [2] * 10,
        [2, 0] * 50,
        [1] * 100,
        [2] * 5 + [0] * 10 + [22] + [2] * 40 + [0] * 20 + [2] * 24,
    ],
    ids=["all", "a pause", "every other", "half", "late, at once, and a pause"],
)
def test_time_passes_at_its_own_pace_whatever_is_left_out(ticks: list[int]) -> None:
    samples = len(heard(Inbound(), ticks))
    assert abs(samples - 16_000 * TICK_SECONDS * len(ticks)) <= 16_000 * 0.1


def test_nothing_is_heard_before_the_first_sound() -> None:
    inbound = Inbound()
    assert len(heard(inbound, [0] * 50)) == 0
    assert inbound.filled == 0
    assert len(heard(inbound, [2] * 10, start=101.0)) > 0


def test_a_piece_that_is_a_little_late_is_not_cut_by_silence() -> None:
    inbound = Inbound()
    heard(inbound, [2] * 10 + [0] + [4] + [2] * 10 + [0, 0, 6] + [2] * 10)
    assert inbound.filled == 0


def test_two_channels_become_one() -> None:
    both = np.column_stack([np.full(480, 1_000), np.full(480, 3_000)]).astype(np.int16)
    inbound = Inbound()
    parts = [inbound.take([(both.tobytes(), 48_000, 2)] * 2, 1 + i / 50) for i in range(10)]
    assert int(np.concatenate([p for p in parts if p is not None])[-100:].mean()) == 2_000


def of(value: int, milliseconds: int) -> np.ndarray:
    return np.full(VOICE_RATE * milliseconds // 1000, value, np.int16)


def test_audio_leaves_in_equal_pieces_and_then_silence() -> None:
    out = Outbound()
    out.add("a", of(7, 15))
    first, second, third = out.piece(), out.piece(), out.piece()
    assert first == of(7, 10).tobytes()
    assert second == of(7, 5).tobytes() + bytes(PIECE)
    assert third == SILENCE
    assert out.sent_ms == ("a", 15)


def test_what_is_cleared_does_not_leave_and_the_rest_does() -> None:
    out = Outbound()
    out.add("a", of(1, 20))
    out.add("b", of(2, 10))
    assert out.piece() == of(1, 10).tobytes()
    out.clear("a")
    assert out.queued_ms == 10
    assert out.piece() == of(2, 10).tobytes()
    assert out.sent_ms == ("b", 10)


def test_what_waits_is_bounded() -> None:
    out = Outbound()
    for _ in range(1_000):
        out.add("a", of(1, 20))
    assert out.queued_ms <= 5_020
