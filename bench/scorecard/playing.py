"""Plays scenes over the real WebSocket, in real time, and notes what comes back when."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from bench.scorecard.mixing import Samples, Studio, Take
from bench.scorecard.scenes import Condition, Scene
from bench.scorecard.sounds import RATE
from nur_server.audio.g711 import encode
from nur_server.audio.resample import StreamResampler

FRAME = RATE // 50
OPENING_AT_SECONDS = 0.6
ANSWER_DELAY_SECONDS = 0.5
"""From the end of the agent's question to the user's answer."""
REPLY_SECONDS = 6.0
"""Longest wait for the agent to begin its question or its monologue."""
AFTER_OVERLAP_SECONDS = 2.5
"""Watched after what is no turn."""
AFTER_TURN_SECONDS = 4.0
"""Longest wait for the answer to a turn."""
SCENE_SECONDS = 40.0


@dataclass(slots=True)
class Seen:
    """What one scene looked like to its client. Times are seconds since it connected."""

    scene: Scene
    condition: Condition
    session_id: str = ""
    onset: float | None = None
    """When the speech that is judged began to be sent. None: the scene never got so far."""
    end: float = 0.0
    pause: tuple[float, float] | None = None
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    audio: list[float] = field(default_factory=list)
    """When each piece of agent audio came."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    """The user's turns in the stored transcript."""

    def first(
        self, kind: str, after: float = 0.0, **wanted: object
    ) -> tuple[float, dict[str, Any]] | None:
        """The first event of this type from `after` on with these values."""
        for at, event in self.events:
            fits = all(event.get(name) == value for name, value in wanted.items())
            if at >= after and event["type"] == kind and fits:
                return at, event
        return None

    def audio_after(self, at: float) -> float | None:
        return next((time for time in self.audio if time >= at), None)


class Player:
    """One scene being played."""

    def __init__(self, scene: Scene, condition: Condition, take: Take) -> None:
        self.seen = Seen(scene, condition)
        self._take = take
        self._lines: list[tuple[int, Samples]] = []
        """What is being said: where each begins, in samples of user audio."""
        self._position = 0
        self._began = 0.0
        self._is_telephone = condition is Condition.TELEPHONE
        self._narrow = StreamResampler(RATE, 8000) if self._is_telephone else None

    async def play(self, address: str) -> Seen:
        """Connect, play, leave."""
        kind = "encoding=mulaw" if self._is_telephone else f"sample_rate={RATE}"
        url = f"{address}?audio=binary&{kind}"
        async with asyncio.timeout(SCENE_SECONDS), connect(url, compression=None) as socket:
            self._began = asyncio.get_running_loop().time()
            listening = asyncio.create_task(self._listen(socket))
            try:
                await self._act(socket)
                await socket.send(json.dumps({"type": "session.end"}))
                await asyncio.wait([listening], timeout=3.0)
            finally:
                listening.cancel()
        return self.seen

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    # The user

    async def _act(self, socket: ClientConnection) -> None:
        kind = self.seen.scene.kind
        start = await (self._be_asked if kind.is_turn else self._open)(socket)
        if start is not None:
            await self._wait(socket, lambda: self._now >= start)
            await self._play_speech(socket)

    async def _open(self, socket: ClientConnection) -> float | None:
        """Have the agent answer. When to speak into its monologue, or into the silence after a
        short answer; None: there was none."""
        seen = self.seen
        await self._wait(socket, lambda: self._now >= OPENING_AT_SECONDS)
        opened = self._say(self._take.opening)
        until = opened + REPLY_SECONDS
        await self._wait(socket, lambda: seen.audio_after(opened) is not None, until)
        began = seen.audio_after(opened)
        if began is None or seen.scene.kind.is_overlap:
            return None if began is None else began + seen.scene.lead_seconds
        until = began + REPLY_SECONDS
        is_over = await self._wait(
            socket, lambda: seen.first("reply.done", began) is not None, until
        )
        return self._now + seen.scene.lead_seconds if is_over else None

    async def _be_asked(self, socket: ClientConnection) -> float | None:
        """Hear the agent's question. When to answer it; None: there was none."""
        asked = await self._wait(
            socket, lambda: self.seen.first("reply.done") is not None, REPLY_SECONDS
        )
        return self._now + ANSWER_DELAY_SECONDS if asked else None

    async def _play_speech(self, socket: ClientConnection) -> None:
        seen, take = self.seen, self._take
        seen.onset = self._position / RATE
        seen.end = self._say(take.speech)
        if take.pause is not None:
            begin, end = take.pause
            seen.pause = (seen.onset + begin / RATE, seen.onset + end / RATE)
        if not seen.scene.kind.is_turn:
            await self._wait(socket, lambda: self._now >= seen.end + AFTER_OVERLAP_SECONDS)
        else:
            until = seen.end + AFTER_TURN_SECONDS
            await self._wait(socket, lambda: seen.audio_after(seen.end) is not None, until)

    def _say(self, speech: Samples) -> float:
        """Begin a line with the next frame. Returns when it will have ended."""
        self._lines.append((self._position, speech))
        return (self._position + len(speech)) / RATE

    async def _wait(
        self, socket: ClientConnection, is_true: Callable[[], bool], until: float = SCENE_SECONDS
    ) -> bool:
        """Send audio at its own pace until something is true, or until a time. Which it was."""
        while not is_true():
            if self._now >= until:
                return False
            await socket.send(self._frame())
            await asyncio.sleep(max(0.0, self._position / RATE - self._now))
        return True

    def _frame(self) -> bytes:
        begin, end = self._position, self._position + FRAME
        noise = self._take.noise
        frame = np.take(noise, np.arange(begin, end), mode="wrap").astype(np.int32)
        for start, line in self._lines:
            piece = line[max(0, begin - start) : max(0, end - start)]
            offset = max(0, start - begin)
            frame[offset : offset + len(piece)] += piece
        self._position = end
        samples = np.clip(frame, -32768, 32767).astype(np.int16)
        if self._narrow is not None:
            return encode(self._narrow.process(samples), "mulaw")
        return samples.tobytes()

    # The agent

    async def _listen(self, socket: ClientConnection) -> None:
        seen = self.seen
        async for message in socket:
            if isinstance(message, bytes):
                seen.audio.append(self._now)
            else:
                seen.events.append((self._now, json.loads(message)))


async def play(studio: Studio, address: str, scene: Scene, condition: Condition) -> Seen:
    """One scene under one condition, at the session's `address`."""
    return await Player(scene, condition, await studio.take(scene, condition)).play(address)
