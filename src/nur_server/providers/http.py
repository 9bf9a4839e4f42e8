"""Talking HTTP with model servers: one client, one translation of its failures, one retry rule."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
import orjson
import structlog

from nur_server import tls
from nur_server.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.providers.refusals import (
    is_for_good,
    is_loading,
    retry_after_seconds,
    said_in,
    tidy,
)

log = structlog.get_logger()

T = TypeVar("T")

CONNECT_SECONDS = 3.0
WRITE_SECONDS = 10.0
MAX_ERROR_BYTES = 8_192
"""How much of a refusal's body is read."""
MAX_JSON_BYTES = 4_194_304
RETRIES = 2
RETRY_SECONDS = 0.2
"""Pause before the first retry; doubled for the next, each ±50 %."""
PATIENCE_SECONDS = 10.0
"""How long a busy server is asked again that says when to come back: NUR_MODEL_TIMEOUT_SECONDS, by
its default."""
SHORTEST_PAUSE_SECONDS = 0.25
"""Before asking again a server that says "at once"."""
LOADING_SECONDS = 1.0
"""Between questions to a server that loads its model: a few of them do no harm, and the answer
begins at most so much later."""
QUOTED = 160
"""Characters of a garbled answer that are kept for the log."""
RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True)
class ModelServer:
    """An OpenAI-compatible server, and the model asked of it."""

    base_url: str
    """Up to and including `/v1`."""
    model: str
    """The model's id on that server."""
    api_key: str | None = field(default=None, repr=False)

    def url(self, path: str) -> str:
        """The address of `path`; a query of the base, which some servers want, stays behind it."""
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment=""))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def model_client(read_seconds: float) -> httpx2.AsyncClient:
    """A client for model servers, to be shared by all adapters and closed by who made it.

    `read_seconds` is the longest silence within an answer. Proxies and certificates named in the
    environment are ignored.
    """
    return httpx2.AsyncClient(
        verify=tls.trusted(),
        timeout=httpx2.Timeout(
            connect=CONNECT_SECONDS,
            read=read_seconds,
            write=WRITE_SECONDS,
            pool=CONNECT_SECONDS,
        ),
        limits=httpx2.Limits(max_connections=512, max_keepalive_connections=64),
        follow_redirects=False,
        trust_env=False,
    )


@contextmanager
def provider_errors(provider: str) -> Iterator[None]:
    """Translate what the HTTP client raises into `ProviderError`s of `provider`."""
    try:
        yield
    except (httpx2.ConnectTimeout, httpx2.ConnectError) as error:
        raise ProviderUnreachable(
            f"Expected a model server to accept the connection; it did not ({_reason(error)}). "
            "Check that it runs and that its address is right.",
            provider=provider,
        ) from error
    except (httpx2.TimeoutException, TimeoutError) as error:
        raise ProviderTimeout(
            "Expected the next piece of the model server's answer in time; none came. "
            "Check its load, or raise NUR_MODEL_TIMEOUT_SECONDS.",
            provider=provider,
        ) from error
    except httpx2.DecodingError as error:
        raise ProviderGarbled(
            f"Expected a readable answer; its content encoding is broken ({_reason(error)}).",
            provider=provider,
        ) from error
    except httpx2.HTTPError as error:
        raise ProviderUnreachable(
            f"Expected the model server's whole answer; the connection broke ({_reason(error)}).",
            provider=provider,
        ) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


@asynccontextmanager
async def answered(
    client: httpx2.AsyncClient,
    provider: str,
    method: str,
    url: str,
    *,
    within_seconds: float,
    headers: Mapping[str, str] | None = None,
    **request: Any,
) -> AsyncIterator[httpx2.Response]:
    """The response to a request, its body unread. Leaving closes it, which aborts the work.

    Raises `ProviderRejected` for any status but 2xx, `ProviderTimeout` when the head does not
    arrive within `within_seconds`.
    """
    with provider_errors(provider):
        built = client.build_request(method, url, headers=headers, **request)
        async with asyncio.timeout(within_seconds):
            response = await client.send(built, stream=True)
    try:
        if not response.is_success:
            with provider_errors(provider):
                async with asyncio.timeout(within_seconds):
                    body = await read_up_to(response, MAX_ERROR_BYTES)
            raise refusal(provider, response, body)
        yield response
    finally:
        await response.aclose()


def refusal(provider: str, response: httpx2.Response, body: bytes) -> ProviderRejected:
    """The error for a response that is not 2xx; worth a retry when the server is merely busy."""
    status = response.status_code
    said = said_in(body)
    log.warning("model server refused a request", provider=provider, status=status, said=said)
    return ProviderRejected(
        f"Expected status 200 from the model server; got {status}. The server's log has its words.",
        provider=provider,
        provider_status=status,
        retryable=status in RETRYABLE_STATUSES and not is_for_good(said),
        retry_after_seconds=retry_after_seconds(response),
        said=said,
    )


async def read_up_to(response: httpx2.Response, limit: int) -> bytes:
    """The first `limit` bytes of the body, at most."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= limit:
            break
    return bytes(body[:limit])


async def read_text(response: httpx2.Response, provider: str, within_seconds: float) -> str:
    """The body as text. Raises `ProviderGarbled` when it is too large."""
    with provider_errors(provider):
        async with asyncio.timeout(within_seconds):
            body = await read_up_to(response, MAX_JSON_BYTES + 1)
    if len(body) > MAX_JSON_BYTES:
        raise garbled(provider, f"at most {MAX_JSON_BYTES} bytes of text", body)
    return body.decode("utf-8", "replace")


async def read_json(response: httpx2.Response, provider: str, within_seconds: float) -> Any:
    """The body as JSON. Raises `ProviderGarbled` when it is none, or is too large."""
    with provider_errors(provider):
        async with asyncio.timeout(within_seconds):
            body = await read_up_to(response, MAX_JSON_BYTES + 1)
    if len(body) > MAX_JSON_BYTES:
        raise garbled(provider, f"at most {MAX_JSON_BYTES} bytes of JSON", body)
    try:
        return orjson.loads(body)
    except ValueError:
        raise garbled(provider, "JSON", body) from None


def garbled(
    provider: str, expected: str, got: bytes | str, *, is_quote: bool = True
) -> ProviderGarbled:
    """The error for an answer that is not `expected`.

    `got` is what came, or how it begins; `is_quote` false: a description of ours, fit to be shown.
    """
    text = got[:QUOTED].decode("utf-8", "replace") if isinstance(got, bytes) else got[:QUOTED]
    said = tidy(text)
    log.warning("model server garbled an answer", provider=provider, expected=expected, pii=said)
    return ProviderGarbled(
        f"Expected {expected} from the model server; got {'something else' if is_quote else said}. "
        "Check that the address leads to an OpenAI-compatible server, up to and including /v1.",
        provider=provider,
        said=said,
    )


def reported(provider: str, expected: str, error: Any) -> ProviderRejected:
    """The error a server writes into its stream, in place of `expected`."""
    said = said_in(json.dumps({"error": error}).encode())
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) else None
    log.warning("model server reported an error", provider=provider, said=said)
    return ProviderRejected(
        f"Expected {expected}; the model server reported an error. The server's log has its words.",
        provider=provider,
        provider_status=status,
        retryable=status in (None, *RETRYABLE_STATUSES) and not is_for_good(said),
        said=said,
    )


def content_type(response: httpx2.Response) -> str:
    """In lower case, without its parameters; empty where the server names none."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def pieces(
    response: httpx2.Response, provider: str, within_seconds: float
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, decompressed. Each piece within `within_seconds` of the last."""
    body = response.aiter_bytes()
    while True:
        with provider_errors(provider):
            async with asyncio.timeout(within_seconds):
                piece = await anext(body, None)
        if piece is None:
            return
        if piece:
            yield piece


async def retried(
    attempt: Callable[[], AsyncGenerator[T, None]],
    *,
    retries: int = RETRIES,
    pause_seconds: float = RETRY_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncGenerator[T, None]:
    """The stream `attempt()` makes, begun anew after a retryable failure.

    Only while nothing was yielded: what was may have been spoken. An error after that comes out
    with `retryable` false. A time-out is not retried: whoever waited that long needs another
    server, not the same one again. A server that says when to come back, or that it still loads
    its model, is asked again until `patience_seconds` are over, whatever the number of `retries`.
    """
    now = asyncio.get_running_loop().time
    gives_up_at = now() + patience_seconds
    failures = 0
    while True:
        has_yielded = False
        try:
            async with aclosing(attempt()) as parts:
                async for part in parts:
                    has_yielded = True
                    yield part
            return
        except ProviderError as error:
            if has_yielded:
                error.retryable = False
                raise
            if not error.retryable or isinstance(error, ProviderTimeout):
                raise
            pause = _told_pause(error)
            if pause is None:
                if failures == retries:
                    raise
                pause = pause_seconds * 2**failures * random.uniform(0.5, 1.5)
                failures += 1
            elif now() + pause > gives_up_at:
                raise
        await asyncio.sleep(pause)


def _told_pause(error: ProviderError) -> float | None:
    """How long the server asks to be left alone. None: it does not say."""
    if error.retry_after_seconds is not None:
        return max(error.retry_after_seconds, SHORTEST_PAUSE_SECONDS)
    if is_loading(error.said, error.provider_status):
        return LOADING_SECONDS
    return None
