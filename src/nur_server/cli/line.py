"""The caller's end of a session: what is said goes out, what is heard comes in, both are kept.

Audio is mono int16 at 24 kHz. The caller's audio is the clock: everything happens at a position,
in samples since the line was opened. What the agent says is heard behind what it said before.
"""

from collections import deque
from types import TracebackType
from typing import Self

import numpy as np

from nur_server.audio.wav import WavWriter
from nur_server.ports import Samples

RATE = 24_000
STEP_MS = 20
STEP = RATE * STEP_MS // 1000
VOICE_LEVEL = 300
"""Peak above which a step of the caller's audio holds speech: about -40 dBFS."""
MOST_HEARD_SECONDS = 300
"""Agent audio kept per line for `heard_of`."""


class Line:
    """Both directions, in step. A recording, where there is one, has the caller on the left."""

    def __init__(self, recording: WavWriter | None = None) -> None:
        self._recording = recording
        self._coming: deque[tuple[str, Samples]] = deque()
        self._heard: dict[str, list[Samples]] = {}
        self._heard_samples = 0
        self.position = 0
        self.voice_ended_at = 0
        """Where the caller's latest speech ends."""
        self.agent_heard_at = 0
        """Where the latest agent audio ends."""

    def receive(self, reply_id: str, audio: bytes) -> None:
        """Agent audio has arrived: PCM16."""
        self._coming.append((reply_id, np.frombuffer(audio, "<i2").astype(np.int16)))

    def drop(self, reply_id: str) -> None:
        """The reply was cut off: what has not been heard of it is not."""
        self._coming = deque(piece for piece in self._coming if piece[0] != reply_id)

    @property
    def has_more(self) -> bool:
        """Whether audio waits to be heard."""
        return bool(self._coming)

    def step(self, said: Samples) -> Samples:
        """Go on by the length of what the caller says; return what is heard meanwhile."""
        heard = self._next(len(said))
        if self._recording is not None:
            self._recording.write(said, heard)
        loud = np.flatnonzero(np.abs(said.astype(np.int32)) >= VOICE_LEVEL)
        if len(loud):
            self.voice_ended_at = self.position + int(loud[-1]) + 1
        self.position += len(said)
        return heard

    def heard_of(self, reply_id: str) -> Samples:
        """What was heard of a reply."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard.get(reply_id, [])])

    def close(self) -> None:
        """Complete the recording."""
        if self._recording is not None:
            self._recording.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next(self, count: int) -> Samples:
        heard = np.zeros(count, np.int16)
        filled = 0
        while self._coming and filled < count:
            reply_id, piece = self._coming.popleft()
            part, rest = piece[: count - filled], piece[count - filled :]
            if len(rest):
                self._coming.appendleft((reply_id, rest))
            heard[filled : filled + len(part)] = part
            filled += len(part)
            self._keep(reply_id, part)
        if filled:
            self.agent_heard_at = self.position + filled
        return heard

    def _keep(self, reply_id: str, part: Samples) -> None:
        self._heard_samples += len(part)
        if self._heard_samples <= MOST_HEARD_SECONDS * RATE:
            self._heard.setdefault(reply_id, []).append(part)


def silence() -> Samples:
    """One step of nothing."""
    return np.zeros(STEP, np.int16)
