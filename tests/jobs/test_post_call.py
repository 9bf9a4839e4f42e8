"""What an agent's model notes of a conversation that is over."""

import json
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from nur_server.conversation.config import ToolSpec
from nur_server.errors import NotFound, ProviderRejected, ProviderUnreachable
from nur_server.jobs.post_call import MAX_FAILURES, PostCall
from nur_server.jobs.worker import Run
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Call, Fail, Reply, ScriptedLanguageModel
from nur_server.store.agents import Agents
from nur_server.store.analyses import Analyses, AnalysisRecord, AnalysisStatus
from nur_server.store.engine import Database
from nur_server.store.records import SessionFields
from nur_server.store.schema import WebhookEventRow
from nur_server.store.sessions import Sessions
from nur_server.store.sink import StoreSink
from nur_server.store.webhooks import (
    WebhookFields,
    Webhooks,
)
from tests.store.samples import agent, turn

from .conftest import ACCOUNT

FIELDS = {
    "order_number": {"type": "integer", "description": "The order it was about."},
    "outcome": {"type": "string", "enum": ["solved", "open"]},
    "wants_callback": {"type": "boolean"},
}
WANTED = {"summary": True, "fields": FIELDS}
NOTED = {"summary": "Ada asked about an order.", "order_number": 1042, "outcome": "solved"}
NOTHING = dict.fromkeys(FIELDS)


class Desk:
    """Conversations, and a model that reads them."""

    def __init__(self, database: Database, *replies: Reply, calls_tools: bool = True) -> None:
        self.database = database
        self.model = ScriptedLanguageModel(list(replies), calls_tools=calls_tools)
        self._post_call = PostCall(database, Catalogue.scripted(llm=self.model))

    async def conversation(
        self, *said: str, wanted: dict[str, Any] | None = WANTED, **fields: Any
    ) -> str:
        """One that is over."""
        settings = {} if wanted is None else {"analysis": wanted}
        made = await Agents(self.database, ACCOUNT).create(agent(settings=settings, **fields))
        expires_at = self.database.clock.now() + timedelta(hours=1)
        session = await Sessions(self.database, ACCOUNT).create(
            SessionFields(agent_id=made.id, expires_at=expires_at)
        )
        for index, text in enumerate(said):
            await StoreSink(self.database, "node-a").turn_finished(
                session.id, turn(index, text=text)
            )
        return session.id

    async def work(self, session_id: str, *, failures: int = 0) -> None:
        await self._post_call.work(Run("key", {"session_id": session_id}, failures))

    async def read(self, session_id: str) -> AnalysisRecord:
        return await Analyses(self.database, ACCOUNT).get(session_id)


async def test_a_summary_and_what_was_asked_for(database: Database) -> None:
    desk = Desk(database, [Call("note", NOTED)])
    session_id = await desk.conversation("Where is order 1042?", "It has shipped.")
    await desk.work(session_id)
    found = await desk.read(session_id)
    assert (found.status, found.model) == (AnalysisStatus.READY, "scripted-llm")
    assert found.summary == "Ada asked about an order."
    assert found.fields == {"order_number": 1042, "outcome": "solved", "wants_callback": None}
    (asked,) = desk.model.requests
    assert asked.messages[-1].content == "user: Where is order 1042?\nagent: It has shipped."
    (note,) = asked.tools
    assert isinstance(note, ToolSpec)
    assert note.parameters["properties"]["outcome"]["enum"] == ["solved", "open", None]


async def test_it_is_done_once_and_told_once(database: Database) -> None:
    await Webhooks(database, ACCOUNT).create(WebhookFields(url="https://example.com/"))
    desk = Desk(database, [Call("note", NOTED)])
    session_id = await desk.conversation("Where is order 1042?")
    for _ in range(2):
        await desk.work(session_id)
    async with database.read() as reading:
        (event,) = await reading.scalars(select(WebhookEventRow))
    assert (event.type, event.subject_id) == ("session.analyzed", session_id)
    assert event.data["fields"]["order_number"] == 1042


async def test_a_model_without_tools_writes_json(database: Database) -> None:
    desk = Desk(database, f"Here it is: {json.dumps(NOTED)}", calls_tools=False)
    session_id = await desk.conversation("Where is order 1042?")
    await desk.work(session_id)
    assert not desk.model.requests[0].tools
    assert (await desk.read(session_id)).fields["order_number"] == 1042


async def test_values_of_another_kind_are_not_kept(database: Database) -> None:
    wrong = {"summary": "Fine.", "order_number": "1042", "outcome": "great", "other": 1}
    desk = Desk(database, [Call("note", wrong)])
    session_id = await desk.conversation("Where is order 1042?")
    await desk.work(session_id)
    assert (await desk.read(session_id)).fields == NOTHING


ODD = [
    r'{"summary": "half \ud800 of it", "order_number": 7}',
    r'{"summary": "half \u0000 of it", "order_number": 7, "\udfff": 1}',
    '{"summary": "half \ud83d of it", "order_number": 7}',
    '{"summary": "half \x00 of it", "order_number": 7}',
]


@pytest.mark.parametrize("written", ODD)
async def test_text_that_cannot_be_encoded_is_made_harmless(
    database: Database, written: str
) -> None:
    await Webhooks(database, ACCOUNT).create(WebhookFields(url="https://example.com/"))
    desk = Desk(database, written, calls_tools=False)
    session_id = await desk.conversation("Where is order 7?")
    await desk.work(session_id)
    found = await desk.read(session_id)
    assert (found.status, found.summary) == (AnalysisStatus.READY, "half \ufffd of it")
    async with database.read() as reading:
        (event,) = await reading.scalars(select(WebhookEventRow))
    assert orjson.loads(orjson.dumps(event.data))["summary"] == "half \ufffd of it"


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity", "1" + "0" * 400])
async def test_a_number_nobody_can_write_is_not_noted(database: Database, number: str) -> None:
    written = f'{{"summary": "Fine.", "order_number": {number}}}'
    desk = Desk(database, written, calls_tools=False)
    session_id = await desk.conversation("Where is order 7?")
    await desk.work(session_id)
    assert (await desk.read(session_id)).fields["order_number"] is None


@pytest.mark.parametrize("reply", ["I cannot tell.", '{"summary": 1}', [Call("note", "{")]])
async def test_what_cannot_be_understood_is_tried_again_and_then_given_up(
    database: Database, reply: Reply
) -> None:
    desk = Desk(database, reply, reply)
    session_id = await desk.conversation("Where is order 1042?")
    with pytest.raises(Exception, match="Expected scripted-llm to note"):
        await desk.work(session_id)
    with pytest.raises(NotFound):
        await desk.read(session_id)
    await desk.work(session_id, failures=MAX_FAILURES - 1)
    found = await desk.read(session_id)
    assert (found.status, found.error_code) == (AnalysisStatus.FAILED, "provider_garbled")
    assert found.fields == NOTHING


async def test_a_model_that_is_away_is_waited_for(database: Database) -> None:
    away = Fail(ProviderUnreachable("no route", provider="scripted-llm"))
    desk = Desk(database, [away], [Call("note", NOTED)])
    session_id = await desk.conversation("Where is order 1042?")
    with pytest.raises(ProviderUnreachable):
        await desk.work(session_id)
    await desk.work(session_id, failures=1)
    assert (await desk.read(session_id)).status is AnalysisStatus.READY


async def test_a_refusal_is_final(database: Database) -> None:
    desk = Desk(database, [Fail(ProviderRejected("too long", provider="scripted-llm"))])
    session_id = await desk.conversation("Where is order 1042?")
    await desk.work(session_id)
    assert (await desk.read(session_id)).error_code == "provider_rejected"


@pytest.mark.parametrize(
    ("said", "fields", "why"),
    [((), {}, "nothing_said"), (("Hello?",), {"llm_model": "offline"}, "no_language_model")],
)
async def test_what_is_not_read_says_why(
    database: Database, said: tuple[str, ...], fields: dict[str, Any], why: str
) -> None:
    desk = Desk(database)
    session_id = await desk.conversation(*said, **fields)
    await desk.work(session_id)
    found = await desk.read(session_id)
    assert (found.status, found.error_code, found.fields) == (AnalysisStatus.SKIPPED, why, NOTHING)
    assert not desk.model.requests


async def test_an_agent_that_does_not_ask_for_it_has_none(database: Database) -> None:
    desk = Desk(database)
    session_id = await desk.conversation("Hello?", wanted=None)
    await desk.work(session_id)
    with pytest.raises(NotFound):
        await desk.read(session_id)
    with pytest.raises(NotFound):
        await Analyses(database, "acc_other").get(session_id)
