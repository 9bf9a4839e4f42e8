"""A whole session in virtual time: scripted engines, a caller who sends audio, a listening ear."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from nur_server.clock import LoopClock
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import Notice
from nur_server.conversation.record import ToolRecord, Turn
from nur_server.ports import (
    CallChange,
    CallControl,
    LanguageModel,
    ListenOptions,
    Samples,
    SessionInput,
    SessionNotice,
    SessionSummary,
    SpeechToText,
    TextToSpeech,
    ToolServer,
    TransportCapabilities,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.providers.scripted import (
    Reply,
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedVoiceActivity,
)
from nur_server.session.live import LiveSessions
from nur_server.session.runner import Session
from nur_server.session.setup import SessionSetup
from nur_server.session.writer import Writer
from nur_server.testing.ear import RESUMABLE

CONFIG = ConversationConfig("ses_0123456789ab0123456789ab01234567", system_prompt="Sell shoes.")
FRAME_SECONDS = 0.02
OUTPUT_RATE = 24_000


@dataclass
class Ear:
    """A transport that only listens: notices and audio in the order they came."""

    heard: list[tuple[float, str, Any]] = field(default_factory=list)
    closed: EndedReason | None = None
    is_replaced: bool = False
    capabilities: TransportCapabilities = RESUMABLE
    call_control: CallControl | None = None

    def connect(self, listener: SessionInput) -> None:
        pass

    def replaced(self) -> None:
        self.is_replaced = True

    def play(self, response_id: str, samples: Samples) -> None:
        self.heard.append((self._now(), response_id, samples))

    def clear(self, response_id: str) -> None:
        self.heard.append((self._now(), "clear", response_id))

    def notify(self, notice: SessionNotice) -> None:
        self.heard.append((self._now(), "notice", notice))

    def close(self, reason: EndedReason) -> None:
        self.closed = reason

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def notices(self) -> list[Notice]:
        return [what for _, kind, what in self.heard if kind == "notice"]

    def of(self, kind: type[Any]) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def audio(self) -> list[tuple[float, str, Samples]]:
        return [h for h in self.heard if h[1] not in ("notice", "clear")]

    @property
    def seconds_heard(self) -> float:
        return sum(len(samples) for _, _, samples in self.audio) / OUTPUT_RATE


@dataclass
class Memory:
    """A sink that keeps everything in lists."""

    turns: dict[int, Turn] = field(default_factory=dict)
    tools: list[ToolRecord] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    started: int = 0
    summary: SessionSummary | None = None

    async def session_started(self, session_id: str, at: datetime | None = None) -> None:
        self.started += 1

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        self.turns[turn.index] = turn

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        self.tools.append(call)

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        assert chunk == len(self.journal)
        self.journal.append(data)

    async def session_ended(
        self, session_id: str, summary: SessionSummary, at: datetime | None = None
    ) -> None:
        self.summary = summary

    async def call_changed(self, change: CallChange, at: datetime | None = None) -> None:
        raise AssertionError(change)

    def said_by(self, speaker: str) -> list[str]:
        return [t.text for _, t in sorted(self.turns.items()) if t.speaker.value == speaker]


@dataclass
class Scene:
    """One session with a caller."""

    live: LiveSessions
    session: Session
    ear: Ear
    memory: Memory
    llm: Any
    stt: Any
    tts: Any
    _speech: list[tuple[float, float]] = field(default_factory=list)
    _caller: asyncio.Task[None] | None = None
    sends: bool = True
    """Whether the caller's audio is sent."""

    async def speak(self, seconds: float) -> None:
        """The caller makes a sound for so long; returns when it is over."""
        now = asyncio.get_running_loop().time()
        self._speech.append((now, now + seconds))
        await asyncio.sleep(seconds)

    async def send_audio(self) -> None:
        """Silence, and sound where the caller speaks, frame by frame."""
        loop = asyncio.get_running_loop()
        tone = (6000 * np.sin(np.arange(320) * 0.2)).astype(np.int16)
        silence = np.zeros(320, np.int16)
        while True:
            now = loop.time()
            speaks = any(start <= now < end for start, end in self._speech)
            if self.sends:
                self.session.hear(tone if speaks else silence)
            await asyncio.sleep(FRAME_SECONDS)

    def assert_spoke(self, text: str) -> None:
        assert any(text in said for said in self.memory.said_by("agent")), self.memory.turns


@asynccontextmanager
async def scene(
    *,
    config: ConversationConfig = CONFIG,
    replies: Sequence[Reply] | Callable[..., Reply] = (),
    hears: Sequence[Any] = (),
    llm: LanguageModel | None = None,
    stt: SpeechToText | None = None,
    tts: TextToSpeech | None = None,
    turn_model: TurnModel | None = None,
    vad: VoiceActivityDetector | None = None,
    tool_server: ToolServer | None = None,
    resume_seconds: float = 30.0,
) -> AsyncIterator[Scene]:
    memory = Memory()
    llm = llm or ScriptedLanguageModel(replies)
    stt = stt or ScriptedSpeechToText(list(hears))
    tts = tts or ScriptedTextToSpeech(sample_rate=16_000)
    live = LiveSessions(
        vad=vad or ScriptedVoiceActivity(),
        turn_model=turn_model,
        tool_server=tool_server,
        writer=Writer(memory, LoopClock()),
        clock=LoopClock(),
        resume_seconds=resume_seconds,
    )
    setup = SessionSetup(
        account_id="acc_1",
        session_id=config.session_id,
        agent_id="agt_1",
        conversation=replace(config, has_turn_model=turn_model is not None),
        listen=ListenOptions(),
        voice="tone",
        stt=stt,
        llm=llm,
        tts=tts,
    )
    session = live.start(setup)
    ear = Ear()
    session.attach(ear)
    one = Scene(live, session, ear, memory, llm, stt, tts)
    caller = asyncio.create_task(one.send_audio())
    try:
        yield one
    finally:
        caller.cancel()
        await live.close()
