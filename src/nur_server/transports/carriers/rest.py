"""Orders to a carrier over HTTP: bounded in time, and never given twice where that would matter."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httpx2
import orjson

from nur_server.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)

ORDER_SECONDS = 8.0
"""Longest wait for the answer to one request."""
ATTEMPTS = 3
RETRY_SECONDS = 0.3
"""Before the second attempt; doubled before the third."""
MAX_ANSWER_BYTES = 1_048_576
OUTCOME_UNKNOWN = "carrier_outcome_unknown"
"""The order may have been carried out."""
UNREACHABLE = "carrier_unreachable"
"""The order never left."""
REJECTED = "carrier_rejected"
INVALID_NUMBER = "invalid_number"


class Repeat(Enum):
    """When an order may be given again."""

    UNSENT = auto()
    """Only while it cannot have arrived."""
    FREELY = auto()
    """It does the same however often it is carried out."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a carrier's error body says."""

    code: str
    message: str


class CarrierApi:
    """One carrier's REST interface over the shared client, which its maker closes."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        carrier: str,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
    ) -> None:
        self._client = client
        self._carrier = carrier
        self._base_url = base_url.rstrip("/")
        self._auth = httpx2.BasicAuth(*auth) if auth else None

    async def order(
        self,
        method: str,
        path: str,
        *,
        repeat: Repeat,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, Any] | None = None,
        json: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer's JSON object; empty where there is no body.

        Raises `ProviderRejected` with the carrier's `details["carrier_code"]` for a refusal, and
        for what went wrong otherwise a `ProviderError` with code `UNREACHABLE` or
        `OUTCOME_UNKNOWN`. A cancelled order may have been carried out.
        """
        request = self._client.build_request(
            method,
            self._base_url + path,
            headers=headers,
            data=form,
            json=json,
            params=query,
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._send(request)
            except ProviderError as error:
                may_repeat = repeat is Repeat.FREELY or error.code == UNREACHABLE
                if attempt == ATTEMPTS or not (error.retryable and may_repeat):
                    raise
            await asyncio.sleep(RETRY_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    async def _send(self, request: httpx2.Request) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                response = await self._client.send(request, stream=True, auth=self._auth)
                try:
                    body = await _whole(response)
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise ProviderUnreachable(
                f"Expected {self._carrier} to accept the connection; it did not "
                f"({type(error).__name__}). Check the network and NUR_CARRIER_API_URL.",
                provider=self._carrier,
                code=UNREACHABLE,
            ) from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise ProviderTimeout(
                f"Expected {self._carrier} to answer within {ORDER_SECONDS:g} s; it did not.",
                provider=self._carrier,
                code=OUTCOME_UNKNOWN,
            ) from error
        except httpx2.HTTPError as error:
            raise ProviderUnreachable(
                f"Expected {self._carrier}'s whole answer; the connection broke "
                f"({type(error).__name__}).",
                provider=self._carrier,
                code=OUTCOME_UNKNOWN,
            ) from error
        return self._understood(response.status_code, body)

    def _understood(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(body) if body else {}
        except orjson.JSONDecodeError:
            answer = None
        if status >= 400:
            raise self._refusal(status, answer if isinstance(answer, dict) else {})
        if not isinstance(answer, dict) or status >= 300:
            raise ProviderGarbled(
                f"Expected a JSON object from {self._carrier}; got something else, status "
                f"{status}. Check NUR_CARRIER_API_URL.",
                provider=self._carrier,
                provider_status=status,
                code=OUTCOME_UNKNOWN,
            )
        return answer

    def _refusal(self, status: int, answer: dict[str, Any]) -> ProviderRejected:
        said = _refusal_in(answer)
        return ProviderRejected(
            f"Expected {self._carrier} to carry out the order; it refused with status {status}, "
            f"code {said.code or 'none'}: {said.message or 'no reason given'}",
            provider=self._carrier,
            provider_status=status,
            retryable=status == 429 or status >= 500,
            code=OUTCOME_UNKNOWN if status >= 500 else REJECTED,
            details={"carrier_code": said.code},
        )


def _refusal_in(answer: dict[str, Any]) -> Refusal:
    """Twilio: `code`, `message`. Telnyx: `errors[0]`. Plivo: `error`. Vonage: `type`, `title`."""
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else answer
    if not isinstance(first, dict):
        first = {"message": first}
    code = first.get("code") or first.get("type") or ""
    words = (first.get(name) for name in ("detail", "message", "error", "title"))
    message = next((word for word in words if word), "")
    return Refusal(str(code)[:100], " ".join(str(message)[:300].split()))


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    async with aclosing(response.aiter_bytes(16_384)) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise httpx2.DecodingError("the answer is larger than 1 MiB")
    return bytes(body)
