"""The two clients: `NurClient` blocks, `AsyncNurClient` is awaited."""

import asyncio
import contextlib
import functools
import os
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from nur.accounts import Accounts, AsyncAccounts
from nur.agents import Agents, AsyncAgents
from nur.call import Call
from nur.calls import AsyncCalls, AsyncVoice, Calls, Voice
from nur.catalogue import AsyncModels, AsyncVoices, Models, Voices
from nur.errors import MissingKey
from nur.exchange import Outcome, Send, Step, Wait, exchange
from nur.keys import AsyncKeys, AsyncTokens, Keys, Tokens
from nur.numbers import AsyncCallerIds, AsyncPhoneNumbers, CallerIds, PhoneNumbers
from nur.recordings import AsyncRecordings, Recordings
from nur.sessions import AsyncSessions, LiveDoor, Sessions
from nur.webhooks import AsyncWebhooks, Webhooks

T = TypeVar("T")

LOCAL_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 30.0
MAX_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What both clients are made with."""

    api_key: str = field(repr=False)
    base_url: str
    """Without a trailing slash, and without `/v1`."""
    timeout_seconds: float
    max_retries: int

    @classmethod
    def read(
        cls, api_key: str | None, base_url: str | None, timeout: float, max_retries: int
    ) -> Self:
        """The options given, else those of the environment. Raises as `NurClient` does."""
        url = (base_url or os.environ.get("NUR_BASE_URL") or LOCAL_URL).rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"expected base_url to begin with http:// or https://, got {url!r}")
        if timeout <= 0:
            raise ValueError(f"expected a timeout above 0 s, got {timeout} s")
        if max_retries < 0:
            raise ValueError(f"expected 0 retries or more, got {max_retries}")
        key = (api_key or os.environ.get("NUR_API_KEY") or "").strip()
        if not key:
            raise MissingKey(
                "expected an API key (nur_…), got none: pass api_key=, or set NUR_API_KEY. "
                "The server shows a first key when it is started for the first time, and "
                "`nur keys` on its machine makes more"
            )
        return cls(key, url.removesuffix("/v1"), timeout, max_retries)


class NurClient:
    """Nur's API, blocking.

        from nur import NurClient

        client = NurClient()
        agent = client.agents.create(
            name="Support", voice_id="rachel_v2", system_prompt="You are a friendly agent."
        )
        session = client.agents.sessions.create(agent_id=agent.id)
        with client.sessions.connect(session) as live:
            for event in live:
                print(event)

    Without `api_key` the environment's `NUR_API_KEY` is used, without `base_url` its
    `NUR_BASE_URL`, else `http://127.0.0.1:8080`. `timeout` is in seconds, per attempt. What may
    succeed later (connection errors, 408, 429, 5xx) is tried `max_retries` more times, with
    growing waits or as `Retry-After` asks; a write is done once however often it is sent.
    `http_client` brings your own proxies or certificates. Safe to share between threads; close it
    or use it in a `with` block.

    Raises `MissingKey` without a key, and `ValueError` for an option that cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        max_retries: int = MAX_RETRIES,
        http_client: httpx2.Client | None = None,
    ) -> None:
        self._options = Options.read(api_key, base_url, timeout, max_retries)
        self._http = http_client or httpx2.Client(verify=_certificates())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._options.base_url

    @property
    def agents(self) -> Agents:
        """Stored agents, and `agents.sessions` to open sessions with them."""
        return Agents(self)

    @property
    def sessions(self) -> Sessions:
        """Sessions: read, end, talk."""
        options = self._options
        door = LiveDoor(
            _own_http,
            options.base_url,
            options.api_key,
            options.timeout_seconds,
            options.max_retries,
        )
        return Sessions(self, door)

    @property
    def calls(self) -> Calls:
        """Phone calls: place, move, end."""
        return Calls(self)

    @property
    def voice(self) -> Voice:
        """Conversations of every kind, in the words of calls."""
        return Voice(self)

    @property
    def phone_numbers(self) -> PhoneNumbers:
        """Numbers that agents answer."""
        return PhoneNumbers(self)

    @property
    def caller_ids(self) -> CallerIds:
        """Numbers that calls may show."""
        return CallerIds(self)

    @property
    def voices(self) -> Voices:
        """The voices an agent can have."""
        return Voices(self)

    @property
    def models(self) -> Models:
        """The models an agent can name."""
        return Models(self)

    @property
    def accounts(self) -> Accounts:
        """Accounts, for the operator: `api_key` is then the server's `NUR_OPERATOR_TOKEN`."""
        return Accounts(self)

    @property
    def keys(self) -> Keys:
        """The account's API keys."""
        return Keys(self)

    @property
    def tokens(self) -> Tokens:
        """Short-lived tokens for browsers."""
        return Tokens(self)

    @property
    def recordings(self) -> Recordings:
        """Recordings of sessions."""
        return Recordings(self)

    @property
    def webhooks(self) -> Webhooks:
        """Who is told what happens."""
        return Webhooks(self)

    def with_options(
        self, *, timeout: float | None = None, max_retries: int | None = None
    ) -> "NurClient":
        """The same client and connections with other options.

        client.with_options(max_retries=0).agents.get("agt_…")
        """
        return NurClient(
            self._options.api_key,
            self._options.base_url,
            timeout=self._options.timeout_seconds if timeout is None else timeout,
            max_retries=self._options.max_retries if max_retries is None else max_retries,
            http_client=self._http,
        )

    def perform(self, call: Call[T]) -> T:
        """Send a call, with retries. The resources use it."""
        options = self._options
        steps = exchange(
            call,
            base_url=options.base_url,
            api_key=options.api_key,
            max_retries=options.max_retries,
        )
        outcome: Outcome = None
        try:
            while True:
                outcome = self._do(steps.send(outcome))
        except StopIteration as finished:
            result: T = finished.value
            return result

    def _do(self, step: Step) -> Outcome:
        match step:
            case Wait(seconds=seconds):
                time.sleep(seconds)
                return None
            case Send():
                try:
                    return self._http.send(_request(self._http, step, self._options))
                except httpx2.RequestError as error:
                    return error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncNurClient:
    """Nur's API, awaited. Everything else is as in `NurClient`.

    async with AsyncNurClient() as client:
        agent = await client.agents.get("agt_…")
        async for session in client.agents.sessions.list(agent.id):
            print(session.session_id)
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        max_retries: int = MAX_RETRIES,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._options = Options.read(api_key, base_url, timeout, max_retries)
        self._http = http_client or httpx2.AsyncClient(verify=_certificates())

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._options.base_url

    @property
    def agents(self) -> AsyncAgents:
        """Stored agents, and `agents.sessions` to open sessions with them."""
        return AsyncAgents(self)

    @property
    def sessions(self) -> AsyncSessions:
        """Sessions: read, end, talk."""
        options = self._options
        door = LiveDoor(
            self._shared_http,
            options.base_url,
            options.api_key,
            options.timeout_seconds,
            options.max_retries,
        )
        return AsyncSessions(self, door)

    @property
    def calls(self) -> AsyncCalls:
        """Phone calls: place, move, end."""
        return AsyncCalls(self)

    @property
    def voice(self) -> AsyncVoice:
        """Conversations of every kind, in the words of calls."""
        return AsyncVoice(self)

    @property
    def phone_numbers(self) -> AsyncPhoneNumbers:
        """Numbers that agents answer."""
        return AsyncPhoneNumbers(self)

    @property
    def caller_ids(self) -> AsyncCallerIds:
        """Numbers that calls may show."""
        return AsyncCallerIds(self)

    @property
    def voices(self) -> AsyncVoices:
        """The voices an agent can have."""
        return AsyncVoices(self)

    @property
    def models(self) -> AsyncModels:
        """The models an agent can name."""
        return AsyncModels(self)

    @property
    def accounts(self) -> AsyncAccounts:
        """Accounts, for the operator: `api_key` is then the server's `NUR_OPERATOR_TOKEN`."""
        return AsyncAccounts(self)

    @property
    def keys(self) -> AsyncKeys:
        """The account's API keys."""
        return AsyncKeys(self)

    @property
    def tokens(self) -> AsyncTokens:
        """Short-lived tokens for browsers."""
        return AsyncTokens(self)

    @property
    def recordings(self) -> AsyncRecordings:
        """Recordings of sessions."""
        return AsyncRecordings(self)

    @property
    def webhooks(self) -> AsyncWebhooks:
        """Who is told what happens."""
        return AsyncWebhooks(self)

    def with_options(
        self, *, timeout: float | None = None, max_retries: int | None = None
    ) -> "AsyncNurClient":
        """The same client and connections with other options."""
        return AsyncNurClient(
            self._options.api_key,
            self._options.base_url,
            timeout=self._options.timeout_seconds if timeout is None else timeout,
            max_retries=self._options.max_retries if max_retries is None else max_retries,
            http_client=self._http,
        )

    async def perform(self, call: Call[T]) -> T:
        """Send a call, with retries. The resources use it. Safe to cancel."""
        options = self._options
        steps = exchange(
            call,
            base_url=options.base_url,
            api_key=options.api_key,
            max_retries=options.max_retries,
        )
        outcome: Outcome = None
        try:
            while True:
                outcome = await self._do(steps.send(outcome))
        except StopIteration as finished:
            result: T = finished.value
            return result

    async def _do(self, step: Step) -> Outcome:
        match step:
            case Wait(seconds=seconds):
                await asyncio.sleep(seconds)
                return None
            case Send():
                try:
                    return await self._http.send(_request(self._http, step, self._options))
                except httpx2.RequestError as error:
                    return error

    @contextlib.asynccontextmanager
    async def _shared_http(self) -> AsyncIterator[httpx2.AsyncClient]:
        yield self._http

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The machine's certificates, read once: it takes longer than a request."""
    return httpx2.create_ssl_context()


def _own_http() -> httpx2.AsyncClient:
    """Connections of a live session's own loop."""
    return httpx2.AsyncClient(verify=_certificates())


def _request(
    http: httpx2.Client | httpx2.AsyncClient, step: Send, options: Options
) -> httpx2.Request:
    return http.build_request(
        step.method,
        step.url,
        params=dict(step.query) or None,
        headers=dict(step.headers),
        json=None if step.body is None else dict(step.body),
        timeout=options.timeout_seconds,
    )
