"""The listening part of a session: voice activity, recognition and the turn model."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import assert_never

import structlog

from nur_server.audio.beep import BeepDetector
from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.utterance import UtteranceAudio
from nur_server.conversation.actions import (
    DropUtterance,
    FinishUtterance,
    MarkPause,
    OpenUtterance,
    ScoreTurn,
)
from nur_server.conversation.events import (
    AudioMissing,
    BeepHeard,
    SpeechScored,
    TranscriptFailed,
    TranscriptUpdated,
    TurnScored,
)
from nur_server.errors import NurError
from nur_server.ports import ActivityScore, Samples, TurnModel, VoiceActivityDetector
from nur_server.session.host import Host
from nur_server.session.recent import RecentAudio
from nur_server.session.setup import SessionSetup
from nur_server.session.tally import Tally
from nur_server.text.encoding import well_formed
from nur_server.text.heard import heard_words

log = structlog.get_logger()

TURN_MODEL_SECONDS = 0.5
"""Longest wait for the turn model: after it, silence and words decide."""
TURN_MODEL_AUDIO_SECONDS = 8
"""Audio that the turn model is given, up to the pause: what Smart Turn was trained on."""

MISSING_SECONDS = 0.3
"""Audio comes every 20 to 100 ms; without any for so long, the client has stopped sending."""
LOOK_SECONDS = 0.1
"""Between two looks at whether audio comes."""
UNSCORED_SAMPLES = LISTEN_RATE // 10
"""At most so much is not judged yet where voice activity keeps up: it goes window by window."""

ListeningAction = OpenUtterance | MarkPause | FinishUtterance | DropUtterance | ScoreTurn


@dataclass(slots=True)
class Utterance:
    """A live utterance and the task that recognises it."""

    audio: UtteranceAudio
    start: int
    """Samples at 16 kHz since the session began."""
    task: asyncio.Task[None]


class Listening:
    """Turns the user's audio into events, and performs the conversation's listening actions."""

    def __init__(
        self,
        setup: SessionSetup,
        host: Host,
        vad: VoiceActivityDetector,
        turn_model: TurnModel | None,
        tally: Tally,
    ) -> None:
        self.setup = setup
        """In force; a new utterance is recognised with it."""
        self.utterances: dict[str, Utterance] = {}
        self.recent = RecentAudio()
        self._host = host
        self._turn_model = turn_model
        self._tally = tally
        self._beep: BeepDetector | None = None
        self._heard = 0
        """Samples that have come."""
        self._judged = 0
        """Samples that the voice-activity model has gone through."""
        self._heard_at = 0.0
        """When the latest came, on the event loop's clock."""
        self._look: asyncio.TimerHandle | None = None
        self._activity = vad.open(self._scored)

    def hear(self, samples: Samples) -> None:
        """Take the user's audio: mono int16 at 16 kHz, any length."""
        self._heard += len(samples)
        self._heard_at = asyncio.get_running_loop().time()
        self.recent.append(samples)
        for utterance in self.utterances.values():
            utterance.audio.append(samples)
        self._activity.feed(samples)
        if self._beep is not None and self._beep.hear(samples):
            self._host.feed(BeepHeard)

    def expect_a_beep(self) -> None:
        """Listen for the tone of an answering machine, too."""
        self._beep = BeepDetector(LISTEN_RATE)

    def perform(self, action: ListeningAction) -> None:
        if isinstance(action, OpenUtterance):
            self._open(action)
            return
        utterance = self.utterances.get(action.utterance_id)
        if utterance is None:
            return
        match action:
            case MarkPause():
                utterance.audio.mark_pause()
            case FinishUtterance():
                utterance.audio.end()
            case DropUtterance():
                del self.utterances[action.utterance_id]
                utterance.task.cancel()
            case ScoreTurn():
                self._score_turn(action, utterance)
            case _:
                assert_never(action)

    def stop(self) -> list[asyncio.Task[None]]:
        """Score nothing more; what is left to be cancelled."""
        self._activity.close()
        if self._look is not None:
            self._look.cancel()
        return [utterance.task for utterance in self.utterances.values()]

    def _scored(self, score: ActivityScore) -> None:
        def scored(at: float) -> SpeechScored:
            return SpeechScored(
                at, score.position, score.probability, score.level_db, score.treble_db
            )

        self._judged = score.position
        self._host.feed(scored)

    # Audio that does not come

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + LOOK_SECONDS
        self._look = loop.call_at(due, self._look_for_audio, due)

    def _look_for_audio(self, due: float) -> None:
        """Tell the conversation where the client sends nothing.

        Time in which this process was held up, or voice activity is behind, does not count: what
        was said meanwhile is still to come.
        """
        self._look = None
        if not self.utterances:
            return
        now = asyncio.get_running_loop().time()
        is_behind = self._heard - self._judged > UNSCORED_SAMPLES
        self._heard_at = now if is_behind else self._heard_at + max(0.0, now - due)
        missing = now - self._heard_at
        if missing >= MISSING_SECONDS:
            missing_ms = round(missing * 1000)
            self._host.feed(lambda at: AudioMissing(at, missing_ms))
        self._look_later()

    # Recognition

    def _open(self, action: OpenUtterance) -> None:
        audio = UtteranceAudio(LISTEN_RATE)
        start, samples = self.recent.since(action.start)
        audio.append(samples)
        work = self._transcribe(action.utterance_id, audio, start)
        task = self._host.spawn(work, action.utterance_id)
        self.utterances[action.utterance_id] = Utterance(audio, start, task)
        if self._look is None:
            self._look_later()

    async def _transcribe(self, utterance_id: str, audio: UtteranceAudio, start: int) -> None:
        setup, feed = self.setup, self._host.feed
        try:
            async with aclosing(setup.stt.transcribe(audio, setup.listen)) as hypotheses:
                async for transcript in hypotheses:
                    feed(
                        lambda at, heard=transcript: TranscriptUpdated(  # type: ignore[misc]
                            at,
                            utterance_id,
                            heard_words(well_formed(heard.text)),
                            start + heard.covers,
                            heard.is_final,
                            heard.confidence,
                        )
                    )
        except NurError as error:
            self._lose_transcript(utterance_id, error.code, error.message)
        except Exception:
            log.exception("transcription.crashed", session_id=setup.session_id)
            self._lose_transcript(
                utterance_id, "internal_error", "The speech-to-text adapter failed."
            )
        finally:
            utterance = self.utterances.get(utterance_id)
            if utterance is not None and utterance.audio is audio:
                del self.utterances[utterance_id]

    def _lose_transcript(self, utterance_id: str, code: str, message: str) -> None:
        self._tally.recogniser_failed(code)
        told = well_formed(message)
        log.warning("recogniser failed", stt=self.setup.stt.name, code=code, reason=told)
        self._host.feed(lambda at: TranscriptFailed(at, utterance_id, code, told))

    # The turn model

    def _score_turn(self, action: ScoreTurn, utterance: Utterance) -> None:
        if self._turn_model is None:
            return
        end = max(0, action.end - utterance.start)
        begin = max(0, end - TURN_MODEL_AUDIO_SECONDS * LISTEN_RATE)
        samples = utterance.audio.read(begin, end)
        name = f"turn:{action.utterance_id}:{action.pause}"
        self._host.spawn(self._ask_turn_model(self._turn_model, action, samples), name)

    async def _ask_turn_model(self, model: TurnModel, action: ScoreTurn, samples: Samples) -> None:
        probability: float | None = None
        try:
            async with asyncio.timeout(TURN_MODEL_SECONDS):
                probability = round(float(await model.score(samples)), 3)
        except (TimeoutError, NurError):
            self._tally.count("turn_model_skipped")
        except Exception:
            log.exception("turn_model.crashed", session_id=self.setup.session_id)
        self._host.feed(lambda at: TurnScored(at, action.utterance_id, action.pause, probability))
