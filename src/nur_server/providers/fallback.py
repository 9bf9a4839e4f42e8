"""A second language model for when the first fails before it said anything."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import structlog

from nur_server.errors import ProviderError
from nur_server.ports import LanguageModel, LanguageModelCapabilities, ReplyPart, ReplyRequest

log = structlog.get_logger()

REST_SECONDS = 15.0
NEVER = float("-inf")


class FallbackModel:
    """`LanguageModel` that asks `second` where `first` fails before its first part.

    Of the two, one that calls no tools is sent none.

    After a failure that may pass, the first is left alone for `rest_seconds`, so that callers do
    not all wait for its time-out; then one question finds out whether it is back.
    """

    def __init__(
        self, first: LanguageModel, second: LanguageModel, *, rest_seconds: float = REST_SECONDS
    ) -> None:
        self._first = first
        self._second = second
        self._rest_seconds = rest_seconds
        self._rests_until = NEVER

    @property
    def name(self) -> str:
        return self._first.name

    @property
    def capabilities(self) -> LanguageModelCapabilities:
        one, other = self._first.capabilities, self._second.capabilities
        return LanguageModelCapabilities(
            calls_tools=one.calls_tools or other.calls_tools,
            loads_at_first_question=one.loads_at_first_question,
        )

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """The first model's answer, or the second's. Raises the `ProviderError` of the last one
        asked; one raised after the first part comes from the model that was speaking."""
        now = asyncio.get_running_loop().time
        if now() >= self._rests_until:
            has_spoken = False
            if self._rests_until > NEVER:
                self._rests_until = now() + self._rest_seconds
            try:
                async with aclosing(self._first.reply(self._for_first(request))) as parts:
                    async for part in parts:
                        has_spoken = True
                        self._rests_until = NEVER
                        yield part
                return
            except ProviderError as error:
                if has_spoken:
                    raise
                if error.retryable:
                    self._rests_until = now() + self._rest_seconds
                log.warning(
                    "language model failed, asking the second",
                    first=self._first.name,
                    second=self._second.name,
                    code=error.code,
                )
        async with aclosing(self._second.reply(_for(self._second, request))) as parts:
            async for part in parts:
                yield part

    def _for_first(self, request: ReplyRequest) -> ReplyRequest:
        return replace(_for(self._first, request), has_stand_in=request.patience_seconds is None)


def _for(model: LanguageModel, request: ReplyRequest) -> ReplyRequest:
    """The request as `model` may be asked."""
    return request if model.capabilities.calls_tools else replace(request, tools=())
