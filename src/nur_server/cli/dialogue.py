"""A caller in a live session: speaks, listens, shows what is said on both sides, keeps account.

One task sends the caller's audio at the pace of speech, silence included, as a telephone would;
another takes the events as they come.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.text import Text

from nur import AsyncLiveSession
from nur.errors import LiveError
from nur.events import (
    AgentTranscript,
    AgentTranscriptDelta,
    ConnectionDropped,
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    SessionEnded,
    SessionError,
    ToolCall,
    UserTranscript,
)
from nur_server.cli import screen
from nur_server.cli.line import RATE, STEP, Line, silence
from nur_server.cli.mouth import Mouth

PAUSE_SECONDS = 0.7
"""Quiet after which it is the caller's turn: a further reply would have begun."""


@dataclass(slots=True)
class Reply:
    """One reply of the agent, as the caller got it."""

    id: str
    began_at: int | None = None
    """Position of its first audio. None: there was none."""
    latency_ms: int | None = None
    """From the end of the caller's speech to the first audio. None: they had not spoken."""
    text: str = ""
    """What was heard."""
    is_interrupted: bool = False
    is_over: bool = False


@dataclass(slots=True)
class Account:
    """Everything that happened, in order."""

    user: list[str] = field(default_factory=list)
    """What the server understood."""
    replies: list[Reply] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ended_reason: str | None = None


class Dialogue:
    """Talks in `live` until it ends. Nothing happens unless `run` is running."""

    def __init__(self, live: AsyncLiveSession, line: Line, mouth: Mouth) -> None:
        self.account = Account()
        self._live = live
        self._line = line
        self._mouth = mouth
        self._awaits_reply = False
        self._answered_at = 0
        """Position at which the latest reply began."""
        self._moved = asyncio.Event()
        self._is_over = False
        self._column = _Column()

    async def run(self) -> None:
        """Until the session is over. Raises `LiveError` where it cannot go on."""
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send())
                async for event in self._live:
                    self._take(event)
                    self._moved.set()
                sending.cancel()
        finally:
            self._is_over = True
            self._column.close()
            self._moved.set()

    async def end(self) -> None:
        """End the session."""
        await self._live.end()

    # What to wait for

    def expect_reply(self) -> None:
        """It is not the caller's turn before the agent has spoken."""
        self._awaits_reply = True

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until `holds`. False: it does not within `seconds`, or the session is over."""
        try:
            async with asyncio.timeout(seconds):
                while not holds() and not self._is_over:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return holds()

    async def until_over(self) -> None:
        """Wait until the session has ended."""
        while not self._is_over:
            self._moved.clear()
            await self._moved.wait()

    async def until_settled(self, seconds: float) -> bool:
        """Wait until it is the caller's turn again."""
        return await self.until(self._is_settled, seconds)

    def heard_seconds(self) -> float:
        """How much has been heard of the reply that is being played."""
        current = self._current()
        return 0.0 if current is None else len(self._line.heard_of(current.id)) / RATE

    def _current(self) -> Reply | None:
        latest = self.account.replies[-1] if self.account.replies else None
        return None if latest is None or latest.is_over else latest

    def _is_settled(self) -> bool:
        line = self._line
        quiet_since = max(line.agent_heard_at, line.voice_ended_at)
        return (
            not self._mouth.is_speaking
            and not self._awaits_reply
            and self._current() is None
            and not line.has_more
            and line.position - quiet_since >= PAUSE_SECONDS * RATE
        )

    # What happens

    async def _send(self) -> None:
        heard = silence()
        while True:
            said = await self._mouth.step(heard)
            heard = self._line.step(said)
            self._moved.set()
            try:
                await self._live.send_audio(said.astype("<i2").tobytes())
            except LiveError:
                return  # the end of the events says why

    def _take(self, event: Event) -> None:
        match event:
            case UserTranscript(text=text) if text:
                self.account.user.append(text)
                self._awaits_reply = True
                self._column.line("caller", text)
            case ReplyStarted(reply_id=reply_id):
                self._awaits_reply = False
                self.account.replies.append(Reply(reply_id))
            case ReplyAudio(reply_id=reply_id, audio=audio):
                self._note_beginning(self._reply(reply_id))
                self._line.receive(reply_id, audio)
            case AgentTranscriptDelta(reply_id=reply_id, delta=delta):
                self._column.add(self._reply(reply_id), delta)
            case AgentTranscript(reply_id=reply_id, text=text, interrupted=interrupted):
                reply = self._reply(reply_id)
                reply.text, reply.is_interrupted = text, interrupted
                self._column.finish(reply)
            case ReplyDone(reply_id=reply_id):
                self._reply(reply_id).is_over = True
                if event.was_cut_off:
                    self._line.drop(reply_id)
            case ToolCall():
                self.account.tool_calls.append(event)
                self._awaits_reply = True
                self._column.line("tool", _called(event))
            case ReplyError() | SessionError():
                self._awaits_reply = False
                self.account.errors.append(event.message)
                self._column.line("error", event.message)
            case ConnectionDropped():
                self._column.line("error", "the connection dropped; coming back")
            case SessionEnded(reason=reason):
                self.account.ended_reason = reason
            case _:
                pass

    def _note_beginning(self, reply: Reply) -> None:
        if reply.began_at is not None:
            return
        line = self._line
        reply.began_at = line.position
        waited = line.position - line.voice_ended_at
        if line.voice_ended_at > self._answered_at and waited > STEP:
            reply.latency_ms = round(waited * 1000 / RATE)
        self._answered_at = line.position

    def _reply(self, reply_id: str) -> Reply:
        """The reply with this id. One that was never announced is not kept."""
        found = next((r for r in reversed(self.account.replies) if r.id == reply_id), None)
        return found or Reply(reply_id)


class _Column:
    """The lines of a conversation. The agent's words are added to its line as they are heard."""

    def __init__(self) -> None:
        self._open: str | None = None
        """The reply whose line has not ended yet."""

    def line(self, who: str, text: str) -> None:
        """A line of its own."""
        self.close()
        screen.out.print(Text.assemble(_head(who), text))

    def add(self, reply: Reply, words: str) -> None:
        if self._open != reply.id:
            self.close()
            self._open = reply.id
            screen.out.print(_head("agent", reply.latency_ms), end="")
            words = words.lstrip()
        screen.out.print(Text(words), end="")

    def finish(self, reply: Reply) -> None:
        """The reply is over."""
        if self._open != reply.id and reply.text:
            self.add(reply, reply.text)
        if self._open is not None and reply.is_interrupted:
            screen.out.print(Text(" — interrupted", style="yellow"), end="")
        self.close()

    def close(self) -> None:
        if self._open is not None:
            self._open = None
            screen.out.print()


_STYLES = {"caller": "cyan", "agent": "green", "tool": "magenta", "error": "red"}


def _head(who: str, latency_ms: int | None = None) -> Text:
    after = "" if latency_ms is None else f"{latency_ms / 1000:.2f} s"
    return Text.assemble((f"  {who:<8}", _STYLES[who]), (f"{after:<8}", "dim"))


def _called(call: ToolCall) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"{call.name}({given})"
