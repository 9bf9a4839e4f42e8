"""What is done on a call once it is answered: talk as an agent, or read a code out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import structlog

from nur_server.audio.resample import resample
from nur_server.calls import states
from nur_server.calls.leg import CheckTransfer, WatchedLeg
from nur_server.calls.line import CallLine
from nur_server.calls.states import Ending
from nur_server.clock import Clock
from nur_server.conversation.events import EndedReason
from nur_server.errors import NurError
from nur_server.ports import CallLeg, Samples, SessionSummary, SpeakRequest, TextToSpeech
from nur_server.session.live import LiveSessions
from nur_server.session.runner import Session
from nur_server.session.setup import SessionSetup

log = structlog.get_logger(__name__)

FRAME_SECONDS = 0.02
AHEAD_SECONDS = 0.1
"""How far ahead of real time a recital is sent."""


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


class Part(Protocol):
    """Our side of an answered call."""

    async def hold(self, leg: CallLeg, line: CallLine) -> Ending:
        """Until it is over; how it ended. `leg` is closed. Safe to cancel."""
        ...


class Talk:
    """A session with an agent."""

    def __init__(
        self,
        setup: SessionSetup,
        live: LiveSessions,
        clock: Clock,
        times: CallTimes,
        check_transfer: CheckTransfer,
        max_seconds: float,
    ) -> None:
        self._setup = setup
        self._live = live
        self._clock = clock
        self._times = times
        self._check_transfer = check_transfer
        self._max_seconds = max_seconds

    async def hold(self, leg: CallLeg, line: CallLine) -> Ending:
        try:
            session = self._live.start(replace(self._setup, output_rate=leg.output_rate))
        except NurError as error:
            leg.close(EndedReason.INTERNAL_ERROR)
            return states.answered(EndedReason.INTERNAL_ERROR, error.code, error.message)
        watched = WatchedLeg(leg, line, self._clock, self._check_transfer, session.answer_tool)
        session.connect(watched)
        watching = asyncio.create_task(self._watch(session, watched, line))
        try:
            summary = await _ended(session)
        finally:
            watching.cancel()
            session.end(EndedReason.SERVER_SHUTDOWN)
        if summary is None:
            return states.answered(EndedReason.INTERNAL_ERROR)
        detail = line.end.detail if line.end is not None else ""
        return states.answered(summary.reason, detail=detail or None)

    async def _watch(self, session: Session, leg: WatchedLeg, line: CallLine) -> None:
        """End the session when anything outside it says so."""
        latest = self._clock.monotonic() + self._max_seconds + self._times.overrun
        while not session.is_over:
            reason = self._why_end(leg, line, is_late=self._clock.monotonic() > latest)
            if reason is not None:
                session.end(reason)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.look):
                    await line.change()

    def _why_end(self, leg: WatchedLeg, line: CallLine, *, is_late: bool) -> EndedReason | None:
        if line.end is not None:
            return states.hung_up(line.end.cause)
        if line.wanted_end is not None:
            return line.wanted_end
        if not leg.has_heard and leg.quiet_seconds > self._times.first_media:
            return EndedReason.NO_MEDIA
        if leg.quiet_seconds > self._times.media:
            return EndedReason.CARRIER_ERROR
        return EndedReason.MAX_DURATION if is_late else None


async def _ended(session: Session) -> SessionSummary | None:
    """The session's summary. None: it was lost."""
    waiting = asyncio.ensure_future(session.wait_ended())
    try:
        await asyncio.wait((waiting,))
    finally:
        waiting.cancel()
    return None if waiting.cancelled() or waiting.exception() else waiting.result()


class Recital:
    """A text read out, a few times over, to whoever answers."""

    RESPONSE = "recital"
    TIMES = 2
    LISTEN_SECONDS = 1.0
    """Before it begins: people lift the phone to their ear."""

    def __init__(self, text: str, tts: TextToSpeech, voice: str, clock: Clock) -> None:
        self._text = text
        self._tts = tts
        self._voice = voice
        self._clock = clock

    async def hold(self, leg: CallLeg, line: CallLine) -> Ending:
        reason = EndedReason.AGENT_ENDED
        try:
            speaking = asyncio.ensure_future(self._speak(leg))
            leaving = asyncio.ensure_future(_until_over(line))
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

    async def _speak(self, leg: CallLeg) -> None:
        await asyncio.sleep(self.LISTEN_SECONDS)
        for _ in range(self.TIMES):
            async for frame in self._frames(leg.output_rate):
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


async def _until_over(line: CallLine) -> EndedReason:
    while True:
        if line.end is not None:
            return states.hung_up(line.end.cause)
        if line.wanted_end is not None:
            return line.wanted_end
        await line.change()
