"""Agent audio at the pace of speech, and what was heard of it.

Audio leaves in 20 ms frames, a little ahead of real time. What was heard is what real time has
reached, never what was merely sent. On an interruption the queue is thrown away with the response
it belongs to, so late audio cannot reach the listener.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

FRAME_MS = 20
LEAD_SECONDS = 0.06
"""How far ahead of real time audio is sent, against jitter. It is what a client may still play
after an interruption unless it drops it."""
MOST_DELAY_SECONDS = 2.0
"""Longest delay between sending and hearing that is believed."""
REPORT_MS = 100
"""Played time between two reports."""


class _State(Enum):
    WAITING = auto()
    """Not released: nothing plays."""
    PLAYING = auto()
    HELD = auto()
    OVER = auto()


class Playout:
    """One response being played. Times are seconds of one monotonic clock.

    `send` gets each frame: mono int16, 20 ms at `sample_rate`. `on_progress` is told the
    milliseconds heard at the first frame and then every `REPORT_MS`; `on_drained` once, when
    everything was heard and no more follows.
    """

    def __init__(
        self,
        sample_rate: int,
        send: Callable[[Samples], None],
        on_progress: Callable[[int], None],
        on_drained: Callable[[int], None],
        *,
        delay_seconds: float = 0.0,
    ) -> None:
        """`delay_seconds`: how long after its time audio is heard, as far as it is known."""
        self.delay_seconds = delay_seconds
        self._rate = sample_rate
        self._frame = sample_rate * FRAME_MS // 1000
        self._send = send
        self._on_progress = on_progress
        self._on_drained = on_drained
        self._state = _State.WAITING
        self._queue: deque[Samples] = deque()
        self._queued = 0
        self._is_finished = False
        self._sent = 0
        """Samples sent, all of them part of the response."""
        self._clock_start: float | None = None
        """When the sample at `_clock_base` is heard. None: playing has to start anew."""
        self._clock_base = 0
        self._taken_until = float("-inf")
        """When the audio sent before the last hold has been heard."""
        self._gain = 1.0
        self._last_gain = 1.0
        self._reported_ms = -1
        self.underruns = 0
        """Times playing had to stop for audio that was not there yet."""

    @property
    def is_running(self) -> bool:
        """Whether `tick` has anything to do."""
        return self._state is _State.PLAYING and (
            self._queued > 0 or self._is_finished or self._clock_start is not None
        )

    @property
    def queued_seconds(self) -> float:
        """Audio made and not yet sent."""
        return self._queued / self._rate

    def queue(self, samples: Samples, now: float) -> None:
        """Add audio behind what is there; the first frame leaves at once."""
        if self._state is _State.OVER or not len(samples):
            return
        self._queue.append(samples)
        self._queued += len(samples)
        self.tick(now)

    def finish(self, now: float) -> None:
        """No more audio follows."""
        self._is_finished = True
        self.tick(now)

    def release(self, now: float) -> None:
        """From here on it may be heard."""
        if self._state is _State.WAITING:
            self._state = _State.PLAYING
            self.tick(now)

    def hold(self, now: float) -> None:
        """Stop where it is; what was sent ahead still counts as heard."""
        if self._state in (_State.PLAYING, _State.WAITING):
            self._state = _State.HELD
            if self._clock_start is not None:
                ahead = (self._sent - self._clock_base) / self._rate
                self._taken_until = self._clock_start + ahead
            self._clock_start = None

    def resume(self, now: float) -> None:
        if self._state is _State.HELD:
            self._state = _State.PLAYING
            self.tick(now)

    def set_gain(self, gain: float) -> None:
        """Volume from the next frame on, faded over that frame."""
        self._gain = gain

    def flush(self, now: float) -> int:
        """Stop for good. Returns the milliseconds heard."""
        heard = self.heard_ms(now)
        self._state = _State.OVER
        self._queue.clear()
        self._queued = 0
        return heard

    def heard_ms(self, now: float) -> int:
        """What real time has reached of what was sent."""
        return self._reached(now - self.delay_seconds)

    def observe(self, played_ms: int, now: float) -> None:
        """The client says that it has played so much by now: learn its delay."""
        behind = self._reached(now) - played_ms
        self.delay_seconds = min(MOST_DELAY_SECONDS, max(0.0, behind / 1000))

    def _reached(self, at: float) -> int:
        """Milliseconds of what was sent whose time has come at `at`."""
        if self._clock_start is None:
            return self._sent * 1000 // self._rate
        played = self._clock_base + int((at - self._clock_start) * self._rate)
        return max(0, min(self._sent, played)) * 1000 // self._rate

    def tick(self, now: float) -> None:
        """Send the frames that are due, report progress. To be called every 20 ms."""
        if self._state is not _State.PLAYING:
            return
        self._send_due(now)
        self._report(now)

    def _send_due(self, now: float) -> None:
        while self._state is _State.PLAYING and self._has_frame():
            if self._clock_start is None:
                self._clock_start = max(now, self._taken_until)
                self._clock_base = self._sent
            due = self._clock_start + (self._sent - self._clock_base) / self._rate
            if due > now + LEAD_SECONDS:
                return
            if due < now - LEAD_SECONDS:
                self._clock_start = now
                self._clock_base = self._sent
                self.underruns += 1
            frame = self._take_frame()
            self._sent += len(frame)
            self._send(self._shape(frame))

    def _has_frame(self) -> bool:
        return self._queued >= self._frame or (self._is_finished and self._queued > 0)

    def _take_frame(self) -> Samples:
        """The next frame; the last of a response may be shorter."""
        wanted = min(self._frame, self._queued)
        head = self._queue[0]
        if len(head) > wanted:
            self._queue[0] = head[wanted:]
            frame = head[:wanted]
        else:
            parts = []
            missing = wanted
            while missing:
                head = self._queue.popleft()
                if len(head) > missing:
                    self._queue.appendleft(head[missing:])
                    head = head[:missing]
                parts.append(head)
                missing -= len(head)
            frame = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._queued -= wanted
        return frame

    def _shape(self, frame: Samples) -> Samples:
        if self._gain == 1.0 and self._last_gain == 1.0:
            return frame
        ramp = np.linspace(self._last_gain, self._gain, len(frame), dtype=np.float32)
        self._last_gain = self._gain
        shaped: Samples = np.clip(frame * ramp, -32768, 32767).astype(np.int16)
        return shaped

    def _report(self, now: float) -> None:
        if self._state is not _State.PLAYING:
            return
        heard = self.heard_ms(now)
        all_heard = heard >= self._sent * 1000 // self._rate
        if self._is_finished and not self._queued and all_heard:
            self._state = _State.OVER
            self._on_drained(heard)
        elif self._sent and (self._reported_ms < 0 or heard - self._reported_ms >= REPORT_MS):
            self._reported_ms = heard
            self._on_progress(max(1, heard))
        elif not self._queued and all_heard:
            self._clock_start = None
