"""What time does to connections: expiry, and clients that fall silent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from nur_server.api.wire.realtime.codec import RealtimeDialect
from nur_server.clock import SystemClock
from nur_server.conversation.events import EndedReason
from nur_server.opening.plan import plan_for_agent
from nur_server.opening.prepare import Identity, prepare
from nur_server.session.runner import Session
from nur_server.store.records import SessionFields
from nur_server.transports.client import ClientConnection, ClientLimits
from tests.api_realtime.conftest import Serve, Server


class ShiftedClock(SystemClock):
    """The machine's clocks, with a wall clock that a test may put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


# Expiry


async def test_a_session_is_not_begun_after_its_expiry(serve: Serve) -> None:
    clock = ShiftedClock()
    async with serve(clock=clock) as server:
        path = await server.make_session(await server.make_agent())
        clock.ahead = timedelta(seconds=3_601)
        async with server.connect(path) as client:
            assert (await client.next())["code"] == "session_expired"
            assert await client.closed() == 4410


async def test_a_conversation_ends_when_its_session_expires(serve: Serve) -> None:
    clock = ShiftedClock()
    async with serve(clock=clock) as server:
        path = await server.make_session(await server.make_agent())
        async with server.connect(path) as client:
            assert (await client.next())["type"] == "session.ready"
            clock.ahead = timedelta(seconds=3_601)
            await client.until("session.ended", reason="expired")
            assert await client.closed() == 4410
        stored = await server.get(path.rpartition("/")[0])
        assert (stored["status"], stored["ended_reason"]) == ("expired", "expired")


async def test_an_expired_token_opens_nothing_and_resumes_nothing(serve: Serve) -> None:
    clock = ShiftedClock()
    async with serve(clock=clock) as server:
        token = (await server.get("/v1/token?expires_in_seconds=60"))["token"]
        path = f"/v1/ws?token={token}"
        async with server.connect(path, headers={}) as client:
            await client.update()
            session_id = (await client.until("session.ready"))["session_id"]
            clock.ahead = timedelta(seconds=61)
            async with server.connect(path, headers={}) as other:
                await other.update()
                assert (await other.next())["code"] == "unauthorized"
                assert await other.closed() == 1008
            async with server.connect(path, headers={}) as again:
                await again.send("session.resume", session_id=session_id)
                assert (await again.next())["code"] == "unauthorized"
                assert await again.closed() == 1008


# Silence


class Line:
    """A connection that keeps what it is sent, and says what it is told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.said: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@asynccontextmanager
async def started(server: Server) -> AsyncIterator[Session]:
    services = server.services
    agent = await services.agents(await account_of(server)).get(await server.make_agent())
    record = await services.sessions(agent.account_id).create(
        SessionFields(agent_id=agent.id, expires_at=services.clock.now() + timedelta(hours=1))
    )
    plan = plan_for_agent(agent, record)
    identity = Identity(agent.account_id, record.id, record.expires_at)
    session = services.live.start(prepare(plan, identity, services.catalogue))
    yield session


async def account_of(server: Server) -> str:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as client:
        session = server.services.live.get((await client.next())["session_id"])
        assert session is not None
        return session.setup.account_id


def connection(server: Server, session: Session, line: Line, **limits: Any) -> ClientConnection:
    clock = server.services.clock
    made = ClientConnection(
        line.send, RealtimeDialect(clock), ClientLimits(max_frame_bytes=10_000, **limits), clock
    )
    session.attach(made)
    return made


async def test_a_client_that_is_connected_and_silent_for_too_long_is_sent_away(
    server: Server,
) -> None:
    line = Line()
    async with started(server) as session:
        serving = connection(server, session, line, idle_seconds=0.05)
        async with asyncio.timeout(10):
            await serving.serve(line.said.get)
        assert (await session.wait_ended()).reason is EndedReason.SILENCE
    assert line.sent[-1] == {"type": "websocket.close", "code": 1000, "reason": "silence"}


async def test_any_message_counts_as_being_there(server: Server) -> None:
    line = Line()
    async with started(server) as session:
        serving = connection(server, session, line, idle_seconds=0.4)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(serving.serve(line.said.get))
            for _ in range(8):
                await asyncio.sleep(0.1)
                line.said.put_nowait({"type": "websocket.receive", "bytes": bytes(2)})
            assert not session.is_over
            line.said.put_nowait({"type": "websocket.disconnect", "code": 1005})
            async with asyncio.timeout(10):
                await task
        assert not session.is_over
        assert not session.is_attached


async def test_a_session_that_ended_before_its_client_arrived_is_closed(server: Server) -> None:
    line = Line()
    async with started(server) as session:
        session.end(EndedReason.CLIENT_ENDED)
        async with asyncio.timeout(10):
            await session.wait_ended()
            await connection(server, session, line).serve(line.said.get)
    assert [json.loads(m["text"])["type"] for m in line.sent[:-1]] == ["session.ended"]
    assert line.sent[-1] == {"type": "websocket.close", "code": 1000, "reason": "client_ended"}


async def test_a_fault_in_a_connection_closes_it_and_the_session_waits(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line()

    async def broken() -> Any:
        raise RuntimeError("the line is broken")

    async with started(server) as session:
        async with asyncio.timeout(10):
            await connection(server, session, line).serve(broken)
        assert not session.is_over
    assert line.sent[-1]["code"] == 1011
    assert '"internal_error"' in line.sent[-2]["text"]
