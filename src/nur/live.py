"""A live session: audio in, events out, over a connection that mends itself."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx2

from nur.closed import Closed
from nur.errors import LiveError, SessionLost
from nur.events import (
    AgentTranscript,
    ConnectionDropped,
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ServerEvent,
    SessionEnded,
    SessionError,
    SessionReady,
    SessionUpdated,
    ToolCall,
    UnknownEvent,
    read_event,
)
from nur.queues import Inbox, Message, Outbox
from nur.reconnection import Outage, lost, refusal
from nur.tools import ToolAnswer, ToolBox, ToolFunction, encode_result

if TYPE_CHECKING:
    from nur.socket import Socket

END_SECONDS = 5.0
"""Longest wait for the server to confirm `session.end`."""
MOST_TOOLS_AT_ONCE = 16
ANSWERS_REPEATED = 16
"""Tool results sent again after a reconnection, in case the last connection lost them."""
PIECE_SECONDS = 0.5
"""Longer audio is sent in pieces of this length."""

HttpClient = Callable[[], AbstractAsyncContextManager[httpx2.AsyncClient]]


class LiveState(StrEnum):
    CONNECTING = "connecting"
    READY = "ready"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """Where a session is, and how its audio travels."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] | None = None
    """The first `session.update`. None: the session is configured already."""
    sends_binary: bool = False
    """Whether the user's audio goes in binary frames rather than in JSON."""
    bytes_per_second: int = 48_000
    """Of the user's audio."""
    bytes_per_sample: int = 2


class _Over(Exception):
    """Ends the scope of the tools that are still running."""


class AsyncLiveSession:
    """A conversation in progress: `async with client.sessions.connect(session) as live`.

        async with client.sessions.connect(session, tools={"lookup_order": lookup}) as live:
            async for event in live:
                match event:
                    case ReplyAudio(audio=pcm):
                        speaker.write(pcm)
                    case UserTranscript(text=text):
                        print("you:", text)

    Entering connects and waits until the server is ready; it raises `SessionRefused` or
    `SessionLost`. A connection that breaks is made again with growing waits, at most 5 times
    within 25 s; the session goes on where it was, and `ConnectionDropped` followed by a second
    `SessionReady` tell of it. When it cannot be, the iteration raises.

    Leaving the block ends the session, unless `end_on_exit=False`: then the server keeps it for
    30 s for someone to come back. Events are read from a queue of 4,096; when nobody reads, the
    oldest audio is dropped and counted in `dropped_events`. Tool functions run all the same.
    """

    def __init__(
        self,
        target: LiveTarget,
        http: HttpClient,
        *,
        tools: Mapping[str, ToolFunction] | None = None,
        tool_timeout_seconds: float = 120.0,
        timeout_seconds: float = 10.0,
        max_retries: int = 2,
        end_on_exit: bool = True,
    ) -> None:
        self._target = target
        self._http = http
        self._timeout_seconds = timeout_seconds
        self._first_attempts = 1 + max_retries
        self._end_on_exit = end_on_exit
        self._toolbox = ToolBox(tools or {}, tool_timeout_seconds)
        self._tool_slots = asyncio.Semaphore(MOST_TOOLS_AT_ONCE)
        self._answers: deque[ToolAnswer] = deque(maxlen=ANSWERS_REPEATED)
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._state = LiveState.CONNECTING
        self._settled = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: LiveError | None = None
        self._last_error: SessionError | None = None
        self._ended: SessionEnded | None = None
        self._ready: SessionReady | None = None
        self._config: dict[str, Any] = {}
        self._reply_id = ""
        self._interrupted = False
        self._tasks: asyncio.TaskGroup
        self._life: asyncio.Task[None] | None = None

    # What is known

    @property
    def state(self) -> LiveState:
        """Connecting, ready, reconnecting or ended."""
        return self._state

    @property
    def session_id(self) -> str:
        """`ses_…`, from the server."""
        return self._ready.session_id if self._ready else ""

    @property
    def config(self) -> dict[str, Any]:
        """The settings in force, as the server last told them."""
        return self._config

    @property
    def interrupted(self) -> bool:
        """Whether the last reply was cut off and no new one has begun.

        It is true as soon as the server says so, before the event is read: a player that polls it
        throws away what it has buffered. Audio of that reply still in the queue is gone by itself.
        """
        return self._interrupted

    @property
    def ended_reason(self) -> str | None:
        """Why the session ended, e.g. `client_ended`. None: it has not, or nobody said why."""
        return self._ended.reason if self._ended else None

    @property
    def dropped_events(self) -> int:
        """Events thrown away because nobody read them."""
        return self._inbox.dropped

    @property
    def dropped_audio_seconds(self) -> float:
        """The user's audio thrown away while there was no connection: all but the last 2 s."""
        return self._outbox.dropped_audio_seconds

    # Events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def receive(self, timeout: float | None = None) -> Event | None:
        """The next event; None when the session has ended. Safe to cancel.

        Raises `TimeoutError` after `timeout` seconds without one, and `LiveError` where the
        session could not go on.
        """
        async with asyncio.timeout(timeout):
            return await self._next()

    async def _next(self) -> Event | None:
        event = await self._inbox.get()
        if event is None and self._failure is not None:
            raise self._failure
        return event

    # Commands

    async def send_audio(self, audio: bytes) -> None:
        """Send what the user says, in the session's input format: PCM16 at 24 kHz by default.

        At the pace of speech: 20–100 ms at a time. Waits while the connection is slow; while it
        is being made again, the newest 2 s are kept. Safe to cancel. Raises `ValueError` for half
        a sample, and `LiveError` once the session is over.
        """
        target = self._target
        if len(audio) % target.bytes_per_sample:
            raise ValueError(f"expected whole 16-bit samples, got {len(audio)} bytes")
        piece_bytes = int(target.bytes_per_second * PIECE_SECONDS)
        for start in range(0, len(audio), piece_bytes):
            piece = audio[start : start + piece_bytes]
            await self._put(
                Message(
                    piece if target.sends_binary else _audio_message(piece),
                    audio_seconds=len(piece) / target.bytes_per_second,
                )
            )

    async def send_tool_result(self, call_id: str, result: object, is_error: bool = False) -> None:
        """Answer a `ToolCall` no function was given for. `result`: text, or anything JSON."""
        await self._send_answer(ToolAnswer(call_id, encode_result(result), is_error))

    async def reply(self, instructions: str | None = None) -> None:
        """Let the agent speak now; `instructions` count for this reply only."""
        await self._command("reply.create", instructions=instructions)

    async def cancel_reply(self, reply_id: str | None = None) -> None:
        """Stop a reply, or whichever is running."""
        await self._command("reply.cancel", reply_id=reply_id)

    async def played(self, reply_id: str, played_ms: int) -> None:
        """Say how much of a reply the user has heard by now.

        A client that buffers audio sends it now and then: the transcript of an interrupted reply
        is then cut by what was really heard, not by what was sent.
        """
        await self._command("reply.audio.played", reply_id=reply_id, played_ms=played_ms)

    async def add_message(self, content: str, role: Literal["user", "system"] = "user") -> None:
        """Add to what the agent knows of the conversation. It does not answer by itself."""
        await self._command("conversation.message", role=role, content=content)

    async def update(self, /, **session: Any) -> None:
        """Change settings, e.g. `update(system_prompt="…", tools=[])`.

        `SessionUpdated` confirms it; a field that cannot be changed any more gives a
        `SessionError`.
        """
        await self._put(_json_message({"type": "session.update", "session": session}))

    async def end(self) -> None:
        """End the session for good, and wait until the server confirms it.

        Events that came before can still be read. Raises `SessionLost` when the server could not
        be told within 5 s; does nothing once the session is over.
        """
        if self._state is LiveState.ENDED:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._outbox.put(_json_message({"type": "session.end"}))
                await self._over.wait()
        except TimeoutError:
            raise SessionLost(
                f"expected the server to confirm the end within {END_SECONDS:g} s; it did not"
            ) from None

    async def _command(self, name: str, **fields: Any) -> None:
        given = {key: value for key, value in fields.items() if value is not None}
        await self._put(_json_message({"type": name, **given}))

    async def _put(self, message: Message) -> None:
        if not await self._outbox.put(message):
            raise self._failure or SessionLost("expected a live session; this one has ended")

    # Life

    async def __aenter__(self) -> Self:
        # The one task of this session: everything else runs in its scope, and `__aexit__` waits
        # for it.
        self._life = asyncio.create_task(self._live(), name="nur-live-session")
        try:
            await self._settled.wait()
        except BaseException:
            await self._stop()
            raise
        if self._failure is not None:
            await self._stop()
            raise self._failure
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._end_on_exit:
                with suppress(SessionLost):
                    await self.end()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks, self._http() as http:
                self._failure = await self._stay_connected(http)
                raise _Over
        except* _Over:
            pass
        finally:
            self._set_state(LiveState.ENDED)
            self._inbox.close()
            await self._outbox.close()

    def _set_state(self, state: LiveState) -> None:
        self._state = state
        if state in (LiveState.READY, LiveState.ENDED):
            self._settled.set()
        if state is LiveState.ENDED:
            self._over.set()

    async def _stay_connected(self, http: httpx2.AsyncClient) -> LiveError | None:
        """Connect again and again; return why it is over, None for an ordinary end."""
        loop = asyncio.get_running_loop()
        outage = Outage(loop.time(), self._first_attempts)
        while True:
            connected_at = loop.time()
            closed = await self._connect(http)
            if self._ended is not None or (closed.code == 1000 and self._ready is not None):
                return None
            if (refused := refusal(closed, self._last_error)) is not None:
                return refused
            if self._state is LiveState.READY:
                outage.connection_dropped(loop.time(), connected_at)
                self._set_state(LiveState.RECONNECTING)
                self._inbox.put(ConnectionDropped(code=closed.code, reason=closed.reason))
            wait = outage.next_wait(loop.time())
            if wait is None:
                return lost(closed, self._last_error, had_begun=self._ready is not None)
            await asyncio.sleep(wait)

    async def _connect(self, http: httpx2.AsyncClient) -> Closed:
        """One connection from its beginning to its end."""
        from nur.socket import closed_by, open_socket

        target = self._target
        try:
            async with open_socket(
                http, target.url, target.headers, self._timeout_seconds
            ) as socket:
                return await self._converse(socket)
        except Exception as error:
            return closed_by(error)

    async def _converse(self, socket: "Socket") -> Closed:
        closed = await self._get_ready(socket)
        if closed is not None:
            return closed
        await self._outbox.put_first([_answer_message(answer) for answer in self._answers])
        await self._outbox.set_online(True)
        self._set_state(LiveState.READY)
        try:
            return await _first_of(self._read(socket), self._write(socket))
        finally:
            await self._outbox.set_online(False)

    async def _get_ready(self, socket: "Socket") -> Closed | None:
        """Say what session it is, and wait for `session.ready`."""
        self._last_error = None
        hello = self._hello()
        if hello is not None and (closed := await socket.send(hello)) is not None:
            return closed
        seen = self._ready
        try:
            async with asyncio.timeout(self._timeout_seconds):
                while self._ready is seen:
                    message = await socket.receive()
                    if isinstance(message, Closed):
                        return message
                    self._take(message)
        except TimeoutError:
            return Closed(reason=f"no session.ready within {self._timeout_seconds:g} s")
        return None

    def _hello(self) -> Message | None:
        if self._target.config is None:
            return None
        if self._ready is None:
            return _json_message({"type": "session.update", "session": self._target.config})
        resume = {"type": "session.resume", "session_id": self.session_id}
        if self._ready.resume_token:
            resume["resume_token"] = self._ready.resume_token
        return _json_message(resume)

    async def _read(self, socket: "Socket") -> Closed:
        while True:
            message = await socket.receive()
            if isinstance(message, Closed):
                return message
            self._take(message)

    async def _write(self, socket: "Socket") -> Closed:
        while True:
            closed = await socket.send(await self._outbox.first())
            if closed is not None:
                return closed
            await self._outbox.written()

    def _take(self, message: str | bytes) -> None:
        event = self._decode(message)
        match event:
            case SessionReady():
                self._ready = event
                self._config = event.config
            case SessionUpdated():
                self._config = event.config
            case SessionError():
                self._last_error = event
            case SessionEnded():
                self._ended = event
            case ReplyStarted():
                self._reply_id = event.reply_id
                self._interrupted = False
            case AgentTranscript(interrupted=True):
                self._interrupted = True
            case ReplyDone() if event.was_cut_off:
                self._interrupted = True
                self._inbox.discard_audio(event.reply_id)
            case ToolCall() if self._toolbox.answers(event):
                self._tasks.create_task(self._answer(event), name="nur-tool-call")
            case _:
                pass
        self._inbox.put(event)

    def _decode(self, message: str | bytes) -> ServerEvent:
        if isinstance(message, bytes):
            return ReplyAudio(reply_id=self._reply_id, audio=message)
        try:
            decoded = json.loads(message)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            return UnknownEvent(type="", data={"text": message})
        return read_event(decoded)

    async def _answer(self, call: ToolCall) -> None:
        async with self._tool_slots:
            answer = await self._toolbox.answer(call)
        if answer is not None:
            with suppress(LiveError):
                await self._send_answer(answer)

    async def _send_answer(self, answer: ToolAnswer) -> None:
        await self._put(_answer_message(answer))
        if answer not in self._answers:
            self._answers.append(answer)


async def _first_of(*works: Awaitable[Closed]) -> Closed:
    """The outcome of whichever ends first; the others are cancelled."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_as_coroutine(work)) for work in works]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
    return next(task for task in running if task in done).result()


async def _as_coroutine(work: Awaitable[Closed]) -> Closed:
    return await work


def _json_message(fields: Mapping[str, Any]) -> Message:
    return Message(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def _answer_message(answer: ToolAnswer) -> Message:
    return _json_message(
        {
            "type": "tool.result",
            "call_id": answer.call_id,
            "result": answer.result,
            "is_error": answer.is_error,
        }
    )


def _audio_message(audio: bytes) -> str:
    return f'{{"type":"input.audio","audio":"{base64.b64encode(audio).decode()}"}}'
