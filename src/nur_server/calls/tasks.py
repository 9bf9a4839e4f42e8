"""What is done on a call once it is answered: talk as an agent, or read a code out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from nur_server.audio.rates import TELEPHONE_RATE
from nur_server.audio.resample import resample
from nur_server.calls import states
from nur_server.calls.progress import CallProgress
from nur_server.calls.states import Ending
from nur_server.clock import Clock
from nur_server.commands import AnswerTool
from nur_server.conversation.config import ToolRunner
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import CallAnswered, ToolCallRequested
from nur_server.errors import NurError
from nur_server.opening.sessions import PreparedSession
from nur_server.ports import (
    Samples,
    SessionNotice,
    SessionSummary,
    SpeakRequest,
    TextToSpeech,
    Transport,
)
from nur_server.session.runner import Session

log = structlog.get_logger(__name__)

NO_CLIENT = "Nobody is connected who could run this tool. Go on without it."
"""The result of a tool that a client would run."""
FRAME_SECONDS = 0.02
AHEAD_SECONDS = 0.1
"""How far ahead of real time a prompt is sent."""


@dataclass(frozen=True, slots=True)
class CallTimes:
    """How long each step of a call may take, in seconds."""

    dial: float = 20.0
    """Until the carrier has taken the order."""
    ring_grace: float = 5.0
    """Beyond the call's own ring time, for the carrier to say that nobody answered."""
    first_media: float = 10.0
    """From the answer to the first audio."""
    media: float = 20.0
    """Without any audio, silence included; then the carrier has vanished."""
    incoming: float = 30.0
    """From an incoming call to its media."""
    look: float = 1.0
    """Between two looks at whether a call still lives."""
    overrun: float = 60.0
    """Beyond `max_duration`, for the goodbye."""
    close: float = 2.0
    """For the carrier to notice that we have left."""
    hang_up: float = 5.0
    """For the carrier to take the order to hang up."""


class CallTask(Protocol):
    """What our side does on an answered call."""

    async def hold(self, leg: Transport, progress: CallProgress) -> Ending:
        """Until it is over; how it ended. `leg` is closed. Safe to cancel."""
        ...


class AgentCall:
    """A session with an agent."""

    def __init__(
        self, prepared: PreparedSession, clock: Clock, times: CallTimes, max_seconds: float
    ) -> None:
        self._prepared = prepared
        self._clock = clock
        self._times = times
        self._max_seconds = max_seconds

    async def hold(self, leg: Transport, progress: CallProgress) -> Ending:
        watcher = CallWatcher(progress)
        try:
            session = await self._prepared.open(leg, observers=(watcher.notice,))
        except NurError as error:
            leg.close(EndedReason.INTERNAL_ERROR)
            return states.answered(EndedReason.INTERNAL_ERROR, error.code, error.message)
        watcher.session = session
        watching = asyncio.create_task(self._watch(session, progress))
        try:
            summary = await _ended(session)
        finally:
            watching.cancel()
            session.end(EndedReason.SERVER_SHUTDOWN)
        if summary is None:
            return states.answered(EndedReason.INTERNAL_ERROR)
        detail = progress.end.detail if progress.end is not None else ""
        return states.answered(summary.reason, detail=detail or None)

    async def _watch(self, session: Session, progress: CallProgress) -> None:
        """End the session when anything outside it says so."""
        latest = self._clock.monotonic() + self._max_seconds + self._times.overrun
        while not session.is_over:
            reason = self._why_end(session, progress, is_late=self._clock.monotonic() > latest)
            if reason is not None:
                session.end(reason)
                return
            if progress.end is not None:
                session.hung_up(progress.end.cause)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.look):
                    await progress.change()

    def _why_end(
        self, session: Session, progress: CallProgress, *, is_late: bool
    ) -> EndedReason | None:
        if progress.wanted_end is not None:
            return progress.wanted_end
        if not session.has_heard and session.quiet_seconds > self._times.first_media:
            return EndedReason.NO_MEDIA
        if session.quiet_seconds > self._times.media:
            return EndedReason.CARRIER_ERROR
        return EndedReason.MAX_DURATION if is_late else None


class CallWatcher:
    """Watches a call's session: notes who has answered, and answers tool calls for a client.

    A phone call has no client that could run a tool.
    """

    def __init__(self, progress: CallProgress) -> None:
        self.session: Session | None = None
        self._progress = progress

    def notice(self, notice: SessionNotice) -> None:
        match notice:
            case ToolCallRequested(call_id=call_id, runner=ToolRunner.CLIENT):
                if self.session is not None:
                    self.session.command(AnswerTool(call_id, NO_CLIENT, is_error=True))
            case CallAnswered(answerer=answerer):
                self._progress.answered_by = answerer
            case _:
                pass


async def _ended(session: Session) -> SessionSummary | None:
    """The session's summary. None: it was lost."""
    waiting = asyncio.ensure_future(session.wait_ended())
    try:
        await asyncio.wait((waiting,))
    finally:
        waiting.cancel()
    return None if waiting.cancelled() or waiting.exception() else waiting.result()


class PromptPlayback:
    """A text that is read out, a few times over, to whoever answers."""

    RESPONSE = "prompt"
    TIMES = 2
    LISTEN_SECONDS = 1.0
    """Before it begins: people lift the phone to their ear."""

    def __init__(self, text: str, tts: TextToSpeech, voice: str, clock: Clock) -> None:
        self._text = text
        self._tts = tts
        self._voice = voice
        self._clock = clock

    async def hold(self, leg: Transport, progress: CallProgress) -> Ending:
        reason = EndedReason.AGENT_ENDED
        try:
            speaking = asyncio.ensure_future(self._speak(leg))
            leaving = asyncio.ensure_future(_until_over(progress))
            try:
                await asyncio.wait((speaking, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not speaking.done():
                    reason = leaving.result()
                elif error := speaking.exception():
                    raise error
            finally:
                speaking.cancel()
                leaving.cancel()
        except NurError as error:
            reason = EndedReason.INTERNAL_ERROR
            return states.answered(reason, error.code, error.message)
        finally:
            leg.close(reason)
        return states.answered(reason)

    async def _speak(self, leg: Transport) -> None:
        rate = leg.capabilities.output_rate or TELEPHONE_RATE
        await asyncio.sleep(self.LISTEN_SECONDS)
        for _ in range(self.TIMES):
            async for frame in self._frames(rate):
                leg.play(self.RESPONSE, frame)
                await asyncio.sleep(0)

    async def _frames(self, rate: int) -> AsyncIterator[Samples]:
        """20 ms each, no further ahead of real time than a carrier should have to keep."""
        async with aclosing(self._tts.speak(SpeakRequest(self._text, self._voice))) as chunks:
            made = [resample(chunk.samples, chunk.sample_rate, rate) async for chunk in chunks]
        speech = np.concatenate([*made, np.zeros(rate, np.int16)])
        size = int(rate * FRAME_SECONDS)
        began = self._clock.monotonic()
        for number, start in enumerate(range(0, len(speech), size)):
            due = began + number * FRAME_SECONDS - AHEAD_SECONDS
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
            yield speech[start : start + size]
        await asyncio.sleep(AHEAD_SECONDS)


async def _until_over(progress: CallProgress) -> EndedReason:
    while True:
        if progress.end is not None:
            return progress.end.cause.ended_reason
        if progress.wanted_end is not None:
            return progress.wanted_end
        await progress.change()
