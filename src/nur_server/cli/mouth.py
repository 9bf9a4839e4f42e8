"""Where the caller's audio comes from, in steps of 20 ms at the pace of speech."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from nur_server.cli.failures import Failure
from nur_server.cli.line import RATE, STEP
from nur_server.ports import Samples

LATE_STEPS = 10
"""Steps that are made up for when this process was held up; a longer delay is lost."""
WAITING_STEPS = 50
"""Steps of a microphone, or for a loudspeaker, that may wait; the oldest are dropped."""


class Mouth(Protocol):
    """The caller's side of a line."""

    @property
    def is_speaking(self) -> bool:
        """Whether there is more to say that is known already."""
        ...

    async def step(self, heard: Samples) -> Samples:
        """What is said next, once its time has come. `heard`: what was heard before, to play."""
        ...


class Reciter:
    """Says what it is given, and is silent in between."""

    def __init__(self) -> None:
        self._to_say: deque[Samples] = deque()
        self._due: float | None = None

    def say(self, samples: Samples) -> None:
        """Speak, behind what is still being said."""
        self._to_say.append(samples)

    @property
    def is_speaking(self) -> bool:
        return bool(self._to_say)

    async def step(self, heard: Samples) -> Samples:
        now = asyncio.get_running_loop().time()
        due = now if self._due is None else max(self._due, now - LATE_STEPS * STEP / RATE)
        self._due = due + STEP / RATE
        await asyncio.sleep(due - now)
        if not self._to_say:
            return np.zeros(STEP, np.int16)
        saying = self._to_say.popleft()
        if len(saying) > STEP:
            self._to_say.appendleft(saying[STEP:])
        return np.pad(saying[:STEP], (0, max(0, STEP - len(saying))))


class Microphone:
    """This machine's microphone; what is heard goes to its loudspeaker. Made by `microphone`."""

    is_speaking = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._said: deque[Samples] = deque(maxlen=WAITING_STEPS)
        self._to_play: deque[bytes] = deque(maxlen=WAITING_STEPS)
        self._came = asyncio.Event()

    async def step(self, heard: Samples) -> Samples:
        self._to_play.append(heard.astype("<i2").tobytes())
        while not self._said:
            self._came.clear()
            await self._came.wait()
        return self._said.popleft()

    def exchange(self, said: Any, to_play: Any, *_: object) -> None:
        """Called by the sound system, on its own thread."""
        samples = np.frombuffer(bytes(said), "<i2").astype(np.int16)
        to_play[:] = self._to_play.popleft() if self._to_play else bytes(len(to_play))
        self._loop.call_soon_threadsafe(self._take, samples)

    def _take(self, samples: Samples) -> None:
        self._said.append(samples)
        self._came.set()


@contextmanager
def microphone() -> Iterator[Microphone]:
    """The microphone, until the block is left. Raises `Failure` where there is none."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise Failure(
            "expected the package sounddevice, and PortAudio, to use the microphone: run "
            "`pip install sounddevice` (and on Debian `apt-get install libportaudio2`)"
        ) from error
    mouth = Microphone(asyncio.get_running_loop())
    try:
        stream = sounddevice.RawStream(
            samplerate=RATE, blocksize=STEP, channels=1, dtype="int16", callback=mouth.exchange
        )
        stream.start()
    except sounddevice.PortAudioError as error:
        raise Failure(
            f"the microphone cannot be used: {error}; use --say TEXT or --wav FILE instead"
        ) from error
    try:
        yield mouth
    finally:
        stream.close()
