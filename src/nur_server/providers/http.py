"""Talking HTTP with model servers: one client, one translation of its failures, one retry rule."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import orjson

from nur_server import tls
from nur_server.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)

T = TypeVar("T")

CONNECT_SECONDS = 3.0
WRITE_SECONDS = 10.0
MAX_LINE_BYTES = 1_048_576
"""Longest line of an event stream. A tool call with its arguments is far below."""
MAX_ERROR_BYTES = 8_192
"""How much of a refusal's body is read."""
MAX_JSON_BYTES = 4_194_304
RETRIES = 2
RETRY_SECONDS = 0.2
"""Pause before the first retry; doubled for the next, each ±50 %."""
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
        return f"{self.base_url.rstrip('/')}/{path}"

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
    said = " ".join(body[:500].decode("utf-8", "replace").split())
    return ProviderRejected(
        f"Expected status 200 from {response.request.url.host}; got {response.status_code}"
        + (f": {said}" if said else "."),
        provider=provider,
        provider_status=response.status_code,
        retryable=response.status_code in RETRYABLE_STATUSES,
    )


async def read_up_to(response: httpx2.Response, limit: int) -> bytes:
    """The first `limit` bytes of the body, at most."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= limit:
            break
    return bytes(body[:limit])


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


def garbled(provider: str, expected: str, got: bytes | str) -> ProviderGarbled:
    """The error for an answer that is not `expected`; quotes how it begins."""
    text = got.decode("utf-8", "replace") if isinstance(got, bytes) else got
    return ProviderGarbled(
        f"Expected {expected} from the model server; got {text[:80]!r}. "
        "Check that the address leads to an OpenAI-compatible server, up to and including /v1.",
        provider=provider,
    )


def reported(provider: str, expected: str, error: Any) -> ProviderRejected:
    """The error a server writes into its stream, in place of `expected`."""
    said = error.get("message", error) if isinstance(error, dict) else error
    return ProviderRejected(
        f"Expected {expected}; the model server reported: {str(said)[:300]}",
        provider=provider,
        retryable=True,
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


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    name: str
    """Empty where the server names none."""
    data: str


async def server_events(
    response: httpx2.Response, provider: str, within_seconds: float
) -> AsyncGenerator[ServerEvent, None]:
    """The events of a `text/event-stream` body (WHATWG HTML, section 9.2), until it ends.

    A server that keeps the connection busy with comments is timed out like a silent one. An event
    the body's end cuts short is handed out, so that its reader can tell.
    """
    parser = _EventParser(provider)
    async with aclosing(pieces(response, provider, within_seconds)) as body:
        loop = asyncio.get_running_loop()
        last_event = loop.time()
        async for piece in body:
            events = parser.feed(piece)
            if events:
                last_event = loop.time()
            elif loop.time() - last_event > within_seconds:
                with provider_errors(provider):
                    raise TimeoutError
            for event in events:
                yield event
                last_event = loop.time()
    for event in parser.finish():
        yield event


class _EventParser:
    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[ServerEvent]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise garbled(self._provider, "event lines of at most 1 MiB", self._rest)
        return [event for line in lines if (event := self._line(line)) is not None]

    def finish(self) -> list[ServerEvent]:
        last = self._line(self._rest)
        cut = last or self._line(b"")
        return [cut] if cut is not None else []

    def _line(self, raw: bytes) -> ServerEvent | None:
        try:
            line = raw.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            raise garbled(self._provider, "UTF-8 text", raw) from None
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name not in ("", "id", "retry"):
            raise garbled(self._provider, "an event stream", line)
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return ServerEvent(name, "\n".join(data)) if data else None


async def retried(
    attempt: Callable[[], AsyncGenerator[T, None]],
    *,
    retries: int = RETRIES,
    pause_seconds: float = RETRY_SECONDS,
) -> AsyncGenerator[T, None]:
    """The stream `attempt()` makes, begun anew after a retryable failure.

    Only while nothing was yielded: what was may have been spoken. An error after that comes out
    with `retryable` false. A time-out is not retried: whoever waited that long needs another
    server, not the same one again.
    """
    for failures in range(retries + 1):
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
            if failures == retries or not error.retryable or isinstance(error, ProviderTimeout):
                raise
        await asyncio.sleep(pause_seconds * 2**failures * random.uniform(0.5, 1.5))


class OptionalFields:
    """Fields of a request that a server may refuse: sent to it until it answers without them."""

    def __init__(self) -> None:
        self._are_sent = True

    async def asked(
        self, ask: Callable[[bool], AsyncGenerator[T, None]]
    ) -> AsyncGenerator[T, None]:
        """The answer of `ask(True)`, which sends the fields, or where they are refused of
        `ask(False)`, which leaves them out."""
        if self._are_sent:
            try:
                async with aclosing(ask(True)) as parts:
                    async for part in parts:
                        yield part
                return
            except ProviderRejected as error:
                if error.provider_status not in (400, 422):
                    raise
        async with aclosing(ask(False)) as parts:
            async for part in parts:
                self._are_sent = False
                yield part
