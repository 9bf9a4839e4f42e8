"""Sessions: read them, end them, and talk in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import httpx2

from nur.call import AsyncPerformer, Call, SyncPerformer, path
from nur.live import AsyncLiveSession, HttpClient, LiveTarget
from nur.live_thread import LiveSession
from nur.objects import Analysis, Session, SessionStatus, Transcript
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing
from nur.tools import ToolFunction


def get_session(session_id: str) -> Call[Session]:
    """Read a session, live or over. Raises `NotFound`.

    print(client.sessions.get("ses_…").ended_reason)
    """
    return Call("GET", path("/v1/sessions/{}", session_id), Session.model_validate)


def list_sessions(
    *,
    agent_id: str | None = None,
    status: SessionStatus | None = None,
    kind: Literal["websocket", "webrtc", "outbound", "inbound"] | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Session]:
    """All sessions, newest first. Moments are ISO 8601, and not included.

    for session in client.sessions.list(status="active"):
        print(session.session_id)
    """
    query = {
        "agent_id": agent_id,
        "status": status,
        "kind": kind,
        "created_after": created_after,
        "created_before": created_before,
        "limit": limit,
        "offset": offset,
        "cursor": cursor,
    }
    return Listing("/v1/sessions", Session, query)


def end_session(session_id: str) -> Call[Session]:
    """End a session now, wherever it runs. Ending one that is over changes nothing.

    client.sessions.end(session.session_id)
    """
    return Call("POST", path("/v1/sessions/{}/end", session_id), Session.model_validate)


def read_transcript(session_id: str) -> Call[Transcript]:
    """What was said and heard so far, turn by turn, with timings and tool calls.

    for turn in client.sessions.transcript(session.session_id).turns:
        print(turn.speaker, turn.text)
    """
    return Call("GET", path("/v1/sessions/{}/transcript", session_id), Transcript.model_validate)


def read_analysis(session_id: str) -> Call[Analysis]:
    """What came of a conversation, where its agent has `analysis`. Raises `NotFound` until it is
    there.

    print(client.sessions.analysis(session.session_id).summary)
    """
    return Call("GET", path("/v1/sessions/{}/analysis", session_id), Analysis.model_validate)


class LiveOptions(TypedDict, total=False):
    """How to talk in a session."""

    config: Mapping[str, Any]
    """Instead of a session: open one on `/v1/ws` with this as its first `session.update`, e.g.
    `{"system_prompt": "…", "output": {"voice": "claire"}}` or `{"agent_id": "agt_…"}`."""
    tools: Mapping[str, ToolFunction]
    """Functions by tool name. Each takes its arguments by keyword, may be a coroutine function,
    and runs once per call; what it raises is told to the agent as an error."""
    tool_timeout_seconds: float
    """Longest a function may take. 120 by default."""
    binary: bool
    """Send and receive audio in binary frames: a third less to carry. Not with `config`."""
    encoding: Literal["pcm16", "mulaw", "alaw"]
    """Of both sides' audio: `pcm16` by default. Not with `config`."""
    sample_rate: Literal[8000, 16000, 24000, 48000]
    """Of both sides' audio: 24000 by default. Not with `config`."""
    end_on_exit: bool
    """Whether leaving the block ends the session. True by default."""


_AUDIO_OPTIONS = ("binary", "encoding", "sample_rate")


@dataclass(frozen=True, slots=True)
class LiveDoor:
    """What of a client a live session needs."""

    http: HttpClient
    base_url: str
    api_key: str
    timeout_seconds: float
    max_retries: int

    def open(self, session: Session | str | None, options: LiveOptions) -> AsyncLiveSession:
        """A session that connects when it is entered.

        Raises `ValueError` unless there is either a session or a `config`.
        """
        return AsyncLiveSession(
            self._target(session, options),
            self.http,
            tools=options.get("tools"),
            tool_timeout_seconds=options.get("tool_timeout_seconds", 120.0),
            timeout_seconds=self.timeout_seconds,
            max_retries=self.max_retries,
            end_on_exit=options.get("end_on_exit", True),
        )

    def _target(self, session: Session | str | None, options: LiveOptions) -> LiveTarget:
        config = options.get("config")
        if (session is None) == (config is None):
            raise ValueError("expected either a session or config={…}, got both or neither")
        if session is not None:
            return self._stored(session, options)
        given = [name for name in _AUDIO_OPTIONS if name in options]
        if given:
            raise ValueError(
                f"expected {given[0]} only with a session; "
                "with config, set input.format and output.format in it"
            )
        return self._inline(config or {})

    def _stored(self, session: Session | str, options: LiveOptions) -> LiveTarget:
        binary = options.get("binary", False)
        encoding = options.get("encoding", "pcm16")
        sample_rate = options.get("sample_rate", 24_000 if encoding == "pcm16" else 8000)
        query = {"audio": "binary" if binary else "json"}
        if "encoding" in options or "sample_rate" in options:
            query |= {"encoding": encoding, "sample_rate": str(sample_rate)}
        bytes_per_sample = 2 if encoding == "pcm16" else 1
        address = self._address(session)
        return LiveTarget(
            url=str(httpx2.URL(address).copy_merge_params(query)),
            headers=self._key() if self._is_own(address) else {},
            sends_binary=binary,
            bytes_per_second=sample_rate * bytes_per_sample,
            bytes_per_sample=bytes_per_sample,
        )

    def _inline(self, config: Mapping[str, Any]) -> LiveTarget:
        input_format = (config.get("input") or {}).get("format") or {}
        bytes_per_sample = 2 if input_format.get("encoding", "audio/pcm") == "audio/pcm" else 1
        sample_rate = input_format.get("sample_rate") or (24_000 if bytes_per_sample == 2 else 8000)
        return LiveTarget(
            url=self._socket_base() + "/v1/ws",
            headers=self._key(),
            config=config,
            bytes_per_second=sample_rate * bytes_per_sample,
            bytes_per_sample=bytes_per_sample,
        )

    def _address(self, session: Session | str) -> str:
        if isinstance(session, Session):
            return session.websocket_url or self._address(session.session_id)
        if session.startswith(("ws://", "wss://")):
            return session
        return self._socket_base() + path("/v1/sessions/{}", session)

    def _key(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def _is_own(self, address: str) -> bool:
        """Whether an address is on the server that this client's key is for."""
        url, own = httpx2.URL(address), httpx2.URL(self._socket_base())
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    def _socket_base(self) -> str:
        return "ws" + self.base_url.removeprefix("http")


class _SessionMethods:
    get = endpoint(get_session)
    list = listing(list_sessions)
    end = endpoint(end_session)
    transcript = endpoint(read_transcript)
    analysis = endpoint(read_analysis)


class Sessions(SyncResource, _SessionMethods):
    """`client.sessions`."""

    def __init__(self, client: SyncPerformer, door: LiveDoor) -> None:
        super().__init__(client)
        self._door = door

    def connect(
        self, session: Session | str | None = None, **options: Unpack[LiveOptions]
    ) -> LiveSession:
        """Talk in a session: an object, a `websocket_url` or an id. Or, with `config`, a new one.

            session = client.agents.sessions.create(agent_id=agent.id)
            with client.sessions.connect(session, tools={"lookup_order": lookup_order}) as live:
                for event in live:
                    print(event)

            with client.sessions.connect(config={"system_prompt": "Be brief."}) as live:
                live.reply("Say hello.")

        See `LiveOptions` and `LiveSession`. Nothing happens before the block is entered.
        """
        return LiveSession(lambda: self._door.open(session, options))


class AsyncSessions(AsyncResource, _SessionMethods):
    """`client.sessions`, awaited."""

    def __init__(self, client: AsyncPerformer, door: LiveDoor) -> None:
        super().__init__(client)
        self._door = door

    def connect(
        self, session: Session | str | None = None, **options: Unpack[LiveOptions]
    ) -> AsyncLiveSession:
        """Talk in a session: an object, a `websocket_url` or an id. Or, with `config`, a new one.

            async with client.sessions.connect(session, tools={"lookup": lookup}) as live:
                async for event in live:
                    print(event)

        See `LiveOptions` and `AsyncLiveSession`. Nothing happens before the block is entered.
        """
        return self._door.open(session, options)
