"""One response being made: the model's answer generated, its clauses synthesised and queued."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import assert_never

import structlog

from nur_server.audio.playout import Playout, Samples
from nur_server.audio.resample import StreamResampler
from nur_server.conversation.actions import Generate, Speak
from nur_server.conversation.events import (
    ClauseSynthesised,
    ReplyFailed,
    ReplyFinished,
    ReplyText,
    ReplyToolCall,
    SpeechFailed,
    WordTime,
)
from nur_server.errors import NurError, ProviderGarbled
from nur_server.ports import (
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    SpeakRequest,
    SpeechChunk,
    TextDelta,
    ToolCallDelta,
)
from nur_server.session.host import Feed
from nur_server.session.setup import SessionSetup
from nur_server.text.encoding import well_formed, well_formed_json

log = structlog.get_logger()

AHEAD_SECONDS = 15.0
"""Audio made ahead of what is played; the synthesiser waits beyond it."""
AHEAD_POLL_SECONDS = 0.2
PATIENCE = 2.0
"""Longest wait for any part of a model's or a synthesiser's answer, whatever the adapter does, in
the time that the setting gives it: a fallback may be asked behind an engine that gave none."""


class ResponseMaker:
    """Performs the actions of one response. `run` is its one task; cancelling it ends them all."""

    def __init__(
        self,
        response_id: str,
        setup: SessionSetup,
        playout: Playout,
        now: Callable[[], float],
        feed: Feed,
        pace: Callable[[Playout], None],
    ) -> None:
        self.playout = playout
        self._id = response_id
        self._setup = setup
        self._now = now
        self._feed = feed
        self._pace = pace
        self._patience_seconds = setup.conversation.model_seconds * PATIENCE
        self._prompts: asyncio.Queue[Generate | None] = asyncio.Queue()
        self._clauses: asyncio.Queue[Speak | None] = asyncio.Queue()
        self._generation: asyncio.Task[None] | None = None

    def generate(self, action: Generate) -> None:
        self._prompts.put_nowait(action)

    def stop_generating(self) -> None:
        """Nothing more is wanted of the model."""
        if self._generation is not None:
            self._generation.cancel()

    def speak(self, action: Speak) -> None:
        """Queue a clause. Bounded by the length a response may have."""
        self._clauses.put_nowait(action)

    def finish(self) -> None:
        """No further clause and no further prompt follows."""
        self._prompts.put_nowait(None)
        self._clauses.put_nowait(None)

    async def run(self) -> None:
        """Until finished or cancelled. Failures become events, never exceptions."""
        async with asyncio.TaskGroup() as group:
            self._generation = group.create_task(self._generate_all())
            group.create_task(self._speak_all())

    async def _generate_all(self) -> None:
        while (action := await self._prompts.get()) is not None:
            try:
                await self._generate(action)
            except NurError as error:
                self._fail_reply(error.code, error.message, error.retryable)
            except TimeoutError:
                self._fail_reply(
                    "provider_timeout",
                    f"expected an answer of the model within {self._patience_seconds:g} s",
                    True,
                )
            except Exception:
                log.exception("reply.crashed", response_id=self._id)
                self._fail_reply("internal_error", "The language model adapter failed.", False)

    async def _generate(self, action: Generate) -> None:
        setup = self._setup
        request = ReplyRequest(
            action.messages,
            action.tools if setup.llm.capabilities.calls_tools else (),
            temperature=setup.temperature,
            max_tokens=setup.max_tokens,
        )
        async with aclosing(setup.llm.reply(request)) as parts:
            while True:
                async with asyncio.timeout(self._patience_seconds):
                    part = await anext(parts, None)
                if part is None:
                    raise ProviderGarbled(
                        "expected the answer to end with a reason; it just stopped",
                        provider=setup.llm.name,
                    )
                self._take(part)
                if isinstance(part, ReplyEnd):
                    return

    def _take(self, part: ReplyPart) -> None:
        match part:
            case TextDelta(text):
                said = well_formed(text)
                self._feed(lambda at: ReplyText(at, self._id, said))
            case ToolCallDelta():
                call_id, name = well_formed(part.call_id), well_formed(part.name)
                arguments = well_formed_json(part.arguments)
                self._feed(lambda at: ReplyToolCall(at, self._id, call_id, name, arguments))
            case ReplyEnd(finish_reason, prompt_tokens, completion_tokens):
                reason = well_formed(finish_reason)
                self._feed(
                    lambda at: ReplyFinished(at, self._id, reason, prompt_tokens, completion_tokens)
                )
            case _:
                assert_never(part)

    def _fail_reply(self, code: str, message: str, retryable: bool) -> None:
        told = well_formed(message)
        log.warning("language model failed", response_id=self._id, code=code, reason=told)
        self._feed(lambda at: ReplyFailed(at, self._id, code, told, retryable))

    async def _speak_all(self) -> None:
        while (clause := await self._clauses.get()) is not None:
            try:
                await self._speak(clause)
            except NurError as error:
                self._fail_speech(clause, error.code, error.message)
                return
            except TimeoutError:
                self._fail_speech(
                    clause,
                    "provider_timeout",
                    f"expected speech from the synthesiser within {self._patience_seconds:g} s",
                )
                return
            except Exception:
                log.exception("speech.crashed", response_id=self._id)
                self._fail_speech(clause, "internal_error", "The synthesiser adapter failed.")
                return
        self.playout.finish(self._now())
        self._pace(self.playout)

    def _fail_speech(self, clause: Speak, code: str, message: str) -> None:
        told = well_formed(message)
        log.warning("synthesiser failed", response_id=self._id, code=code, reason=told)
        self._feed(lambda at: SpeechFailed(at, self._id, clause.clause, code, told))

    async def _speak(self, clause: Speak) -> None:
        setup = self._setup
        request = SpeakRequest(
            clause.text, setup.voice, language=setup.conversation.language, speed=setup.speed
        )
        made = 0
        words: list[WordTime] = []
        resampler: StreamResampler | None = None
        async with aclosing(setup.tts.speak(request)) as chunks:
            while True:
                async with asyncio.timeout(self._patience_seconds):
                    chunk: SpeechChunk | None = await anext(chunks, None)
                if chunk is None:
                    break
                if resampler is None:
                    resampler = StreamResampler(chunk.sample_rate, setup.output_rate)
                words.extend(WordTime(word.character, word.start_ms) for word in chunk.words)
                made += self._queue(resampler.process(chunk.samples))
                await self._wait_for_room()
        if resampler is not None:
            made += self._queue(resampler.flush())
        if not made:
            raise ProviderGarbled(
                "expected audio for a clause; the synthesiser gave none", provider=setup.tts.name
            )
        duration_ms = made * 1000 // setup.output_rate
        self._feed(
            lambda at: ClauseSynthesised(at, self._id, clause.clause, duration_ms, tuple(words))
        )

    def _queue(self, samples: Samples) -> int:
        self.playout.queue(samples, self._now())
        self._pace(self.playout)
        return len(samples)

    async def _wait_for_room(self) -> None:
        excess = self.playout.queued_seconds - AHEAD_SECONDS
        while excess > 0:
            await asyncio.sleep(max(excess, AHEAD_POLL_SECONDS))
            excess = self.playout.queued_seconds - AHEAD_SECONDS
