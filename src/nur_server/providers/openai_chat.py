"""A language model behind an OpenAI-compatible chat server: vLLM, SGLang, llama.cpp, Ollama, …"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import structlog

from nur_server.errors import ProviderError, ProviderRejected
from nur_server.ports import (
    LanguageModelCapabilities,
    ReplyPart,
    ReplyRequest,
)
from nur_server.providers.chat_answer import ChatAnswer
from nur_server.providers.chat_dialect import NEVER_THE_REQUEST, ChatDialect
from nur_server.providers.chat_shortening import prompt_characters, shortened
from nur_server.providers.event_stream import ServerEvent, server_events
from nur_server.providers.http import (
    CONNECT_SECONDS,
    ModelServer,
    answered,
    content_type,
    garbled,
    read_json,
    retried,
)
from nur_server.providers.refusals import allowed_share, is_limit_too_large, is_too_long

log = structlog.get_logger()

LATE_SECONDS = 2.0
"""How long an answer with a reason to finish waits for what may follow it: more words, usage
figures, the end. An answer read to its end leaves the connection fit for the next."""
ENDLESS_SECONDS = 0.1
"""The same with a server that is known to leave its answers open."""
MOST_CONCESSIONS = 8
"""Times a question is put in another form before the server's refusal is accepted."""
MOST_SHORTENINGS = 3
SHORTENED_SHARE = 0.5
"""Of a prompt that is too long, where the server does not say what would fit."""
MARGIN = 0.9
"""Of what would fit: tokens are not characters."""


class OpenAIChat:
    """`LanguageModel` on `POST {base}/chat/completions`."""

    def __init__(
        self,
        server: ModelServer,
        client: httpx2.AsyncClient,
        *,
        name: str | None = None,
        chunk_seconds: float = 10.0,
    ) -> None:
        """`chunk_seconds` is the longest wait for the next piece of an answer. `client` stays the
        caller's to close."""
        self._server = server
        self._client = client
        self._name = name or server.model
        self._chunk_seconds = chunk_seconds
        self._dialect = ChatDialect()
        self._late_seconds = LATE_SECONDS
        self._begins_in_thought = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> LanguageModelCapabilities:
        return LanguageModelCapabilities(calls_tools=True, loads_at_first_question=True)

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """The answer in parts; asked for again while nothing of it was yielded and the server may
        yet give it.

        Raises `ProviderError`s; one raised after the first part is never `retryable`.
        """
        seconds = request.patience_seconds or self._chunk_seconds
        patience_seconds = 0.0 if request.has_stand_in else seconds
        return retried(lambda: self._reply(request, seconds), patience_seconds=patience_seconds)

    async def _reply(
        self, request: ReplyRequest, seconds: float
    ) -> AsyncGenerator[ReplyPart, None]:
        """The answer to the request in a form that the server takes."""
        form = _Form(request, self._dialect)
        for concessions in range(MOST_CONCESSIONS + 1):
            payload = form.payload(self._server.model)
            is_answering = False
            try:
                async with aclosing(self._ask(payload, seconds)) as parts:
                    async for part in parts:
                        is_answering = True
                        self._dialect = form.dialect
                        yield part
                return
            except ProviderRejected as error:
                if is_answering or concessions == MOST_CONCESSIONS:
                    raise
                if not form.concede(payload, error):
                    raise
                log.info("asking the model server in another form", llm=self._name)

    async def _ask(
        self, payload: dict[str, Any], seconds: float
    ) -> AsyncGenerator[ReplyPart, None]:
        async with answered(
            self._client,
            self._name,
            "POST",
            self._server.url("chat/completions"),
            within_seconds=seconds,
            timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
            headers={**self._server.headers, "Accept": "text/event-stream"},
            json=payload,
        ) as response:
            answer = ChatAnswer(self._name, begins_in_thought=self._begins_in_thought)
            kind = content_type(response)
            if kind == "application/json":
                whole = await read_json(response, self._name, seconds)
                for part in answer.take(whole):
                    yield part
                has_end = True
            elif kind in ("text/event-stream", "text/plain", "application/x-ndjson", ""):
                has_end = False
                async with aclosing(self._events(response, answer, seconds)) as events:
                    async for event in events:
                        has_end = has_end or event.is_last
                        for part in () if has_end else answer.take(self._chunk(event), event.name):
                            yield part
            else:
                raise garbled(self._name, "an event stream", f"content type {kind}", is_quote=False)
            for part in answer.finish(has_end=has_end):
                yield part
            if answer.ended_a_thought_it_had_not_begun:
                self._begins_in_thought = True

    async def _events(
        self, response: httpx2.Response, answer: ChatAnswer, seconds: float
    ) -> AsyncGenerator[ServerEvent, None]:
        """The stream's events up to its end. A reason to finish is not the end, but who has given
        one is not waited for as long; what breaks then breaks nothing."""
        events = server_events(response, self._name, seconds)
        async with aclosing(events):
            while True:
                try:
                    async with asyncio.timeout(self._wait_seconds(answer)):
                        event = await anext(events, None)
                except (TimeoutError, ProviderError) as error:
                    if not answer.has_reason:
                        raise
                    if isinstance(error, TimeoutError) and not answer.goes_on:
                        self._late_seconds = ENDLESS_SECONDS
                    return
                if event is None:
                    return
                yield event
                if event.is_last:
                    return

    def _wait_seconds(self, answer: ChatAnswer) -> float | None:
        if answer.goes_on:
            self._late_seconds = LATE_SECONDS
        if not answer.has_reason or answer.goes_on:
            return None
        return self._late_seconds

    def _chunk(self, event: ServerEvent) -> Any:
        try:
            return json.loads(event.data)
        except (ValueError, RecursionError):
            raise garbled(self._name, "a chunk of JSON", event.data) from None


class _Form:
    """The form in which a question is put, changed by the server's refusals."""

    def __init__(self, request: ReplyRequest, dialect: ChatDialect) -> None:
        self.dialect = dialect
        self._request = request
        self._messages = request.messages
        self._shortenings = 0

    def payload(self, model: str) -> dict[str, Any]:
        return self.dialect.payload(model, self._request, self._messages)

    def concede(self, payload: dict[str, Any], error: ProviderRejected) -> bool:
        """Meet a refusal of `payload`. False: there is nothing left to give up."""
        status = error.provider_status
        if self._request.max_tokens is not None and is_limit_too_large(error.said):
            self._request = replace(self._request, max_tokens=None)
            return True
        is_long = status not in NEVER_THE_REQUEST and is_too_long(error.said, status)
        if is_long and self._shorten(error.said):
            return True
        conceded = self.dialect.conceding(payload, error.said, status)
        self.dialect = conceded or self.dialect
        return conceded is not None

    def _shorten(self, said: str) -> bool:
        if self._shortenings == MOST_SHORTENINGS:
            return False
        self._shortenings += 1
        fits = allowed_share(said) if self._shortenings == 1 else None
        share = SHORTENED_SHARE if fits is None else fits * MARGIN
        before = self._messages
        self._messages = shortened(before, round(prompt_characters(before) * share))
        return prompt_characters(self._messages) < prompt_characters(before)
