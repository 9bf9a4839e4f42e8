"""Two servers on one PostgreSQL database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bench.node import Node
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.jobs.receiver import receiving

TAKEN_OVER_SECONDS = 30
PATIENCE_SECONDS = 30
EVENTS = 16
CALLS = 5
DIALS_PER_MINUTE = 10

pytestmark = pytest.mark.timeout(300)


class Pair:
    """Two nodes, and a client of each."""

    def __init__(self, a: Node, b: Node, at_a: httpx2.AsyncClient, at_b: httpx2.AsyncClient):
        self.a, self.b, self.at_a, self.at_b = a, b, at_a, at_b

    async def make_agent(self) -> str:
        body = {"name": "A", "voice_id": "rachel_v2", "system_prompt": "Be brief."}
        made = await self.at_a.post("/v1/agents", json=body)
        return str(made.json()["id"])

    @asynccontextmanager
    async def talking(self, node: Node, agent_id: str) -> AsyncIterator[tuple[str, Any]]:
        """A live session on a node: its id and its socket."""
        made = (await self.at_a.post(f"/v1/agents/{agent_id}/sessions")).json()
        secret = made["websocket_url"].rpartition("/")[2]
        address = f"ws://127.0.0.1:{node.port}/v1/sessions/{made['id']}/{secret}"
        async with connect(address, max_queue=None) as socket:
            await seen(socket, "session.ready")
            yield made["id"], socket

    async def over(self, session_id: str) -> dict[str, Any]:
        """The session's record, once it has ended."""
        for _ in range(round(PATIENCE_SECONDS / 0.05)):
            record = (await self.at_b.get(f"/v1/sessions/{session_id}")).json()
            if record["status"] == "ended":
                return dict(record)
            await asyncio.sleep(0.05)
        raise AssertionError(f"expected session {session_id} to end, it is {record['status']}")

    async def ended(self, call_id: str) -> str:
        """Why a call is over, once it is."""
        while True:
            call = (await self.at_b.get(f"/v1/calls/{call_id}")).json()
            if call["ended_at"] is not None:
                return str(call["ended_reason"])
            await asyncio.sleep(0.1)


async def seen(socket: ClientConnection, type: str) -> dict[str, Any]:
    """The next message of this type."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for frame in socket:
            if isinstance(frame, str) and (message := json.loads(frame))["type"] == type:
                return dict(message)
    raise AssertionError(f"expected {type}, the socket was closed")


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
async def pair(empty_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    a, b = Node(empty_url, tmp_path / "a"), Node(empty_url, tmp_path / "b")
    try:
        await a.start()
        await b.start()
        async with a.client() as at_a, b.client(a.key) as at_b:
            yield Pair(a, b, at_a, at_b)
    finally:
        await a.kill()
        await b.kill()


async def test_a_session_is_ended_and_an_agent_deleted_from_the_other_node(pair: Pair) -> None:
    agent_id = await pair.make_agent()
    async with pair.talking(pair.a, agent_id) as (first, socket):
        ended = await pair.at_b.post(f"/v1/sessions/{first}/end")
        assert (ended.json()["status"], ended.json()["ended_reason"]) == ("ended", "client_ended")
        assert (await seen(socket, "session.ended"))["reason"] == "client_ended"

    async with (
        pair.talking(pair.a, agent_id) as (on_a, at_a),
        pair.talking(pair.b, agent_id) as (on_b, at_b),
    ):
        await pair.at_b.delete(f"/v1/agents/{agent_id}")
        for session_id, socket in ((on_a, at_a), (on_b, at_b)):
            assert (await seen(socket, "session.ended"))["reason"] == "agent_deleted"
            assert (await pair.over(session_id))["ended_reason"] == "agent_deleted"


async def test_the_work_of_a_killed_node_is_finished_by_the_other(pair: Pair) -> None:
    async with receiving() as receiver:
        body = {"url": receiver.url(), "events": ["*"]}
        webhook = (await pair.at_a.post("/v1/webhooks", json=body)).json()
        agent_id = await pair.make_agent()
        async with pair.talking(pair.a, agent_id) as (lost, socket):
            await receiver.until(lambda: receiver.types() == ["session.started"])
            receiver.hangs.add("/hooks")
            for _ in range(EVENTS):
                await pair.at_a.post(f"/v1/webhooks/{webhook['id']}/test")
            await asyncio.sleep(1)
            await pair.a.kill()
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while True:
                        await socket.recv()
        receiver.hangs.clear()
        await receiver.until(
            lambda: (
                sorted(receiver.types())
                == sorted(["session.started", "session.ended", *["webhook.test"] * EVENTS])
            ),
            TAKEN_OVER_SECONDS,
        )
        for each in receiver.accepted():
            each.verify(webhook["secret"])
    assert (await pair.over(lost))["error_code"] == "session_lost"


async def test_scheduled_calls_of_a_killed_node_are_placed_once_by_the_other(pair: Pair) -> None:
    agent_id = await pair.make_agent()
    at = datetime.now(UTC) + timedelta(seconds=6)
    body = {"phone_number": "+15550100", "scheduled_at": at.isoformat()}
    path = f"/v1/agents/{agent_id}/calls"
    made = [(await pair.at_a.post(path, json=body)).json()["id"] for _ in range(CALLS)]
    await pair.a.kill()
    async with asyncio.timeout(TAKEN_OVER_SECONDS):
        reasons = [await pair.ended(call_id) for call_id in made]
    assert reasons == ["busy"] * CALLS
    assert sorted(pair.b.placed) == sorted(made)
    assert not pair.a.placed


async def test_rate_limits_hold_over_both_nodes(pair: Pair) -> None:
    answers = [
        await client.post("/voice/outbound/dial", json={})
        for client in (pair.at_a, pair.at_b) * DIALS_PER_MINUTE
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [422] * DIALS_PER_MINUTE + [429] * DIALS_PER_MINUTE
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
