"""The speaking part of a session: responses being made, and their audio being played."""

import asyncio
from dataclasses import dataclass
from typing import assert_never

from nur_server.audio.playout import Playout
from nur_server.conversation.actions import (
    FinishSpeech,
    Flush,
    Generate,
    HoldPlayout,
    Release,
    ResumePlayout,
    SetVolume,
    Speak,
    StopGenerating,
)
from nur_server.conversation.events import PlayoutDrained, PlayoutFlushed, PlayoutProgressed
from nur_server.session.client_link import ClientLink
from nur_server.session.host import Host
from nur_server.session.pacer import Pacer
from nur_server.session.response import ResponseMaker
from nur_server.session.setup import SessionSetup
from nur_server.session.tally import Tally

MakingAction = Generate | StopGenerating | Speak | FinishSpeech
PlayingAction = Release | SetVolume | HoldPlayout | ResumePlayout | Flush


@dataclass(slots=True)
class Responding:
    """A live response and the task that makes it."""

    maker: ResponseMaker
    task: asyncio.Task[None]


class Speaking:
    """Performs the conversation's speaking actions, and feeds back how far audio was heard."""

    def __init__(
        self, setup: SessionSetup, host: Host, client: ClientLink, pacer: Pacer, tally: Tally
    ) -> None:
        self.setup = setup
        """In force; a new response is made with it."""
        self.responses: dict[str, Responding] = {}
        self._host = host
        self._client = client
        self._pacer = pacer
        self._tally = tally
        self._delay_seconds = 0.0
        """Between sending audio and its being heard, as the client's reports tell it."""

    def played(self, response_id: str, played_ms: int) -> None:
        """The far end has heard so much of a response by now."""
        responding = self.responses.get(response_id)
        if responding is not None:
            playout = responding.maker.playout
            playout.observe(played_ms, self._host.clock.monotonic())
            self._delay_seconds = playout.delay_seconds

    def stop(self) -> list[asyncio.Task[None]]:
        """Play nothing more; what is left to be cancelled."""
        for responding in self.responses.values():
            self._pacer.remove(responding.maker.playout)
        return [responding.task for responding in self.responses.values()]

    # Making

    def make(self, action: MakingAction) -> None:
        responding = self.responses.get(action.response_id)
        if responding is None:
            if not isinstance(action, Generate | Speak):
                return
            responding = self._open(action.response_id)
        match action:
            case Generate():
                responding.maker.generate(action)
            case StopGenerating():
                responding.maker.stop_generating()
            case Speak():
                responding.maker.speak(action)
            case FinishSpeech():
                responding.maker.finish()
            case _:
                assert_never(action)

    def _open(self, response_id: str) -> Responding:
        feed = self._host.feed
        playout = Playout(
            self.setup.output_rate,
            send=lambda samples: self._client.play(response_id, samples, self.setup.output_rate),
            on_progress=lambda ms: feed(lambda at: PlayoutProgressed(at, response_id, ms)),
            on_drained=lambda ms: self._drained(response_id, ms),
            delay_seconds=self._delay_seconds,
        )
        playout.set_gain(self.setup.volume)
        maker = ResponseMaker(
            response_id, self.setup, playout, self._host.clock.monotonic, feed, self._pacer.add
        )
        responding = Responding(maker, self._host.spawn(maker.run(), response_id))
        self.responses[response_id] = responding
        return responding

    def _drained(self, response_id: str, played_ms: int) -> None:
        responding = self.responses.pop(response_id, None)
        if responding is not None:
            self._tally.count("underruns", responding.maker.playout.underruns)
        self._host.feed(lambda at: PlayoutDrained(at, response_id, played_ms))

    # Playing

    def play(self, action: PlayingAction) -> None:
        responding = self.responses.get(action.response_id)
        if isinstance(action, Flush):
            self._flush(action.response_id, responding)
            return
        if responding is None:
            return
        playout = responding.maker.playout
        now = self._host.clock.monotonic()
        match action:
            case Release():
                playout.release(now)
            case SetVolume(_, gain):
                playout.set_gain(gain * self.setup.volume)
            case HoldPlayout():
                playout.hold(now)
            case ResumePlayout():
                playout.resume(now)
            case _:
                assert_never(action)
        self._pacer.add(playout)

    def _flush(self, response_id: str, responding: Responding | None) -> None:
        played_ms = 0
        if responding is not None:
            del self.responses[response_id]
            played_ms = responding.maker.playout.flush(self._host.clock.monotonic())
            self._pacer.remove(responding.maker.playout)
            responding.task.cancel()
            self._client.clear(response_id)
        self._host.feed(lambda at: PlayoutFlushed(at, response_id, played_ms))
