"""A server whose database is away, stops, and comes back: what was heard is stored."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nur_server.api.app import UNWRITTEN, create_app
from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.errors import Unavailable
from nur_server.ports import SessionSummary
from nur_server.providers.catalogue import Catalogue
from nur_server.session.writer import SPILL_SECONDS, Writer

from .conftest import Server, Start

SUMMARY = SessionSummary(EndedReason.AGENT_ENDED, 12.5, 0, 2, 0)


def turn(index: int) -> Turn:
    call = ToolRecord("call_1", "look_up", "{}", ToolStatus.SUCCEEDED, "7", 10, 20)
    calls = (call,) if index == 0 else ()
    return Turn(index, f"i{index}", Speaker.AGENT, f"Turn {index}.", 0, 1, "x", tool_calls=calls)


def take_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database can be read and not written from here on, as with a full disk."""

    @asynccontextmanager
    async def fails() -> AsyncIterator[Any]:
        raise Unavailable("the disk is full", code="database_unavailable")
        yield

    monkeypatch.setattr(server.services.database, "write", fails)


def waiting(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / UNWRITTEN).glob("*.writes"))


@pytest.mark.parametrize("has_ended", [True, False])
async def test_the_next_start_writes_what_waited(
    start: Start, has_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as server:
        agent = await server.make_agent()
        made = await server.make_session(agent["id"])
        await server.services.sessions("acc_default").begin(made["id"], server.services.node_id)
        take_away(server, monkeypatch)
        writer = server.services.live.writer.open(made["id"])
        for index in range(2):
            writer.turn(turn(index))
        if has_ended:
            writer.session_ended(SUMMARY)
        assert await writer.durable_within(20 * SPILL_SECONDS)
        folder = server.services.settings.data_dir
        assert waiting(folder) == [made["id"]]
    assert waiting(folder) == [made["id"]]
    monkeypatch.undo()
    app = create_app(server.services.settings, catalogue=Catalogue.scripted())
    async with app.router.lifespan_context(app):
        record = await app.state.services.sessions("acc_default").get(made["id"])
        turns = await app.state.services.turns("acc_default").list(made["id"])
    assert [each.text for each in turns] == ["Turn 0.", "Turn 1."]
    assert turns[0].tool_calls[0].result == "7"
    assert record.agent_turns == 2
    if has_ended:
        assert (record.ended_reason, record.duration_seconds) == (EndedReason.AGENT_ENDED, 12.5)
        assert record.error_code is None
    else:
        assert (record.ended_reason, record.error_code) == (
            EndedReason.INTERNAL_ERROR,
            "session_lost",
        )
    assert waiting(folder) == []


async def test_what_waits_is_written_by_the_same_server_and_counted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as server:
        agent = await server.make_agent()
        made = await server.make_session(agent["id"])
        await server.services.sessions("acc_default").begin(made["id"], server.services.node_id)
        live_writer: Writer = server.services.live.writer
        writer = live_writer.open(made["id"])
        with monkeypatch.context() as away:
            take_away(server, away)
            writer.turn(turn(0))
            writer.session_ended(SUMMARY)
            assert not await writer.stored_within(0.3)
            text = (await server.client.get("/metrics")).text
            assert "nur_writes_waiting 2.0" in text
        assert await writer.stored_within(20.0)
        shown = await server.call("GET", f"/v1/sessions/{made['id']}")
        assert (shown["status"], shown["ended_reason"]) == ("ended", "agent_ended")
        assert "nur_writes_waiting 0.0" in (await server.client.get("/metrics")).text
