"""Audio may run ahead of real time by a burst, not for ever; so may the work messages make."""

from dataclasses import dataclass
from enum import Enum, auto


class Admission(Enum):
    ADMITTED = auto()
    REFUSED = auto()
    """The first of a row, worth telling the client."""
    REFUSED_AGAIN = auto()


@dataclass(frozen=True, slots=True)
class Allowance:
    burst_seconds: float = 10.0
    """How far audio may run ahead, such as what was recorded while the client was reconnecting."""
    rate: float = 1.05
    """Seconds of audio per second; above 1 for clients whose clock is fast."""


class AudioMeter:
    """A leaky bucket of audio: filled by what comes in, drained by time."""

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._allowance = allowance
        self._ahead_seconds = 0.0
        self._seen_at = now
        self._last = Admission.ADMITTED

    def admit(self, seconds: float, now: float) -> Admission:
        """Whether `seconds` of audio may pass at `now` (seconds of a monotonic clock)."""
        drained = (now - self._seen_at) * self._allowance.rate
        self._seen_at = now
        self._ahead_seconds = max(0.0, self._ahead_seconds - drained)
        if self._ahead_seconds + seconds <= self._allowance.burst_seconds:
            self._ahead_seconds += seconds
            self._last = Admission.ADMITTED
        elif self._last is Admission.ADMITTED:
            self._last = Admission.REFUSED
        else:
            self._last = Admission.REFUSED_AGAIN
        return self._last


class MessageMeter:
    """The same for messages other than audio: each has a time it takes, on the safe side."""

    BURST_SECONDS = 20.0
    MESSAGE_SECONDS = 0.01
    KIB_SECONDS = 0.01
    UPDATE_SECONDS = 2.0
    """Of a `session.update`, whose tools are checked anew."""

    def __init__(self, now: float) -> None:
        self._time = AudioMeter(Allowance(self.BURST_SECONDS, rate=1.0), now)

    def admit(self, size: int, *, is_update: bool, now: float) -> Admission:
        """Whether a message of `size` bytes may pass at `now` (seconds of a monotonic clock)."""
        base = self.UPDATE_SECONDS if is_update else self.MESSAGE_SECONDS
        return self._time.admit(base + self.KIB_SECONDS * size / 1024, now)


class FrameMeter:
    """Paces what is read of one connection, before anything looks into it: frames and bytes.

    Nothing is lost: a client that is faster is read more slowly.
    """

    BURST_SECONDS = 8.0
    FRAME_SECONDS = 1 / 500
    """Audio comes in 50 to 100 frames a second."""
    KIB_SECONDS = 1 / 512
    """48 kHz in base64 is 125 KiB a second. Reading and decoding 512 KiB takes some 20 ms."""

    def __init__(self, now: float) -> None:
        self._free_at = now

    def admit(self, size: int, now: float) -> float:
        """Seconds to wait before a frame of `size` bytes is looked at, read at `now` (seconds of a
        monotonic clock)."""
        cost = self.FRAME_SECONDS + self.KIB_SECONDS * size / 1024
        self._free_at = max(self._free_at, now) + cost
        return max(0.0, self._free_at - now - self.BURST_SECONDS)
