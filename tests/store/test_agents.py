import asyncio
from dataclasses import asdict, replace

import pytest
from sqlalchemy import text

from nur_server.clock import ManualClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, InvalidRequest, NotFound
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.records import AgentFields, AgentRecord, AgentStatus, SessionState
from nur_server.store.sessions import Sessions

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, agent, session

EVERYTHING = agent(
    language="es",
    tools=(
        {"name": "b", "parameters": {"z": {"type": "string", "required": True}, "a": {}}},
        {"type": "function", "function": {"name": "é", "big": 2**70, "none": None, "f": 0.1}},
    ),
    max_turns=None,
    llm_model="qwen3.5-4b",
    stt_model="voxtral-realtime",
    tts_model="qwen3-tts",
    first_message="Thanks for calling. How can I help?",
    interruption_threshold=0.7,
    context_window=20,
    tool_url="https://example.com/tools",
    phone_numbers=("+14155559999", "+14155550000"),
    metadata={"team": "support", "n": 1},
    status=AgentStatus.PAUSED,
    settings={"turn_detection": {"vad_threshold": 0.4}, "silence": {"end_seconds": 30}},
)


@pytest.fixture
def agents(database: Database) -> Agents:
    return Agents(database, ACCOUNT)


def fields(record: AgentRecord) -> AgentFields:
    names = AgentFields.__dataclass_fields__
    return AgentFields(**{name: getattr(record, name) for name in names})


async def test_an_agent_is_read_as_it_was_given(agents: Agents) -> None:
    made = await agents.create(EVERYTHING)
    read = await agents.get(made.id)
    assert read == made
    assert fields(read) == EVERYTHING
    assert list(read.tools[0]["parameters"]) == ["z", "a"]


async def test_what_is_left_out_has_its_default(agents: Agents) -> None:
    made = await agents.create(agent())
    assert asdict(fields(await agents.get(made.id))) == asdict(agent())


async def test_text_no_database_can_hold_is_replaced(agents: Agents) -> None:
    made = await agents.create(agent(name="a\x00b\ud800c", metadata={"k": "\x00\ud800"}))
    read = await agents.get(made.id)
    assert read.name == "a\ufffdb\ufffdc"
    assert read.metadata == {"k": "\ufffd\ufffd"}


async def test_text_that_was_stored_before_it_was_made_harmless_can_be_read(
    database: Database, agents: Agents
) -> None:
    made = await agents.create(agent())
    stored = r'{"a": "\ud800", "b": ["\u0000"], "c": "\\ud800", "d": NaN, "e": 1e999}'
    if database.url.get_backend_name() == "postgresql":
        stored = r'{"a": "\udfff", "b": ["\u0000"], "c": "\\ud800", "d": null, "e": 1e999}'
    async with database.write() as session:
        await session.execute(
            text("UPDATE agents SET metadata = CAST(:stored AS JSON)")
            if database.url.get_backend_name() == "postgresql"
            else text("UPDATE agents SET metadata = :stored"),
            {"stored": stored},
        )
    read = await agents.get(made.id)
    assert read.metadata == {"a": "\ufffd", "b": ["\ufffd"], "c": "\\ud800", "d": None, "e": None}


async def test_a_change_touches_what_it_names(agents: Agents, clock: ManualClock) -> None:
    made = await agents.create(EVERYTHING)
    clock.advance(10)
    changed = await agents.update(made.id, {"name": "New", "phone_numbers": ("+14155550000",)})
    assert fields(changed) == replace(EVERYTHING, name="New", phone_numbers=("+14155550000",))
    assert changed.created_at == made.created_at
    assert changed.updated_at == clock.now()
    assert await agents.get(made.id) == changed


async def test_settings_are_merged_by_key_and_none_removes_one(agents: Agents) -> None:
    made = await agents.create(EVERYTHING)
    changed = await agents.update(made.id, {"settings": {"silence": None, "apology": "Sorry."}})
    assert changed.settings == {"turn_detection": {"vad_threshold": 0.4}, "apology": "Sorry."}


async def test_no_change_leaves_the_agent_alone(agents: Agents, clock: ManualClock) -> None:
    made = await agents.create(EVERYTHING)
    clock.advance(10)
    assert await agents.update(made.id, {}) == made
    assert await agents.update(made.id, {"name": made.name}) == made


async def test_a_replacement_sets_every_field(agents: Agents) -> None:
    made = await agents.create(EVERYTHING)
    replaced = await agents.replace(made.id, agent(name="Plain"))
    assert fields(replaced) == agent(name="Plain")
    assert await agents.get(made.id) == replaced


async def test_an_agent_of_another_account_does_not_exist(
    database: Database, agents: Agents
) -> None:
    theirs = await Agents(database, OTHER_ACCOUNT).create(agent())
    for attempt in (
        agents.get(theirs.id),
        agents.update(theirs.id, {"name": "Mine"}),
        agents.replace(theirs.id, agent(name="Mine")),
        agents.delete(theirs.id),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        assert theirs.id in refused.value.message
    assert (await agents.list()).items == ()
    assert await Agents(database, OTHER_ACCOUNT).get(theirs.id) == theirs


async def test_a_number_belongs_to_one_agent_of_an_account(
    database: Database, agents: Agents
) -> None:
    number = "+14155559999"
    first = await agents.create(agent(phone_numbers=(number,)))
    second = await agents.create(agent())
    with pytest.raises(Conflict) as refused:
        await agents.create(agent(phone_numbers=("+14155550000", number)))
    assert refused.value.param == "phone_numbers"
    assert number in refused.value.message
    with pytest.raises(Conflict):
        await agents.update(second.id, {"phone_numbers": (number,)})
    await Agents(database, OTHER_ACCOUNT).create(agent(phone_numbers=(number,)))
    await agents.update(first.id, {"phone_numbers": ()})
    assert (await agents.update(second.id, {"phone_numbers": (number,)})).phone_numbers == (number,)
    assert (await agents.list()).total == 2


async def test_of_agents_that_ask_for_a_number_at_once_one_gets_it(agents: Agents) -> None:
    made = [await agents.create(agent()) for _ in range(4)]
    wish = {"phone_numbers": ("+14155559999",)}
    answers = await asyncio.gather(
        *(agents.update(record.id, wish) for record in made), return_exceptions=True
    )
    won = [answer for answer in answers if isinstance(answer, AgentRecord)]
    lost = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(won), len(lost)) == (1, 3)


async def test_numbers_keep_their_order_and_come_once(agents: Agents) -> None:
    numbers = tuple(f"+1415555{place:04}" for place in (5, 1, 9, 3))
    made = await agents.create(agent(phone_numbers=numbers))
    turned = await agents.update(made.id, {"phone_numbers": numbers[::-1]})
    assert turned.phone_numbers == numbers[::-1]
    assert (await agents.get(made.id)).phone_numbers == numbers[::-1]
    with pytest.raises(InvalidRequest) as refused:
        await agents.update(made.id, {"phone_numbers": (numbers[0], numbers[0])})
    assert refused.value.param == "phone_numbers"


async def test_a_deleted_agent_is_gone_and_its_number_is_free(agents: Agents) -> None:
    made = await agents.create(EVERYTHING)
    await agents.delete(made.id)
    with pytest.raises(NotFound):
        await agents.get(made.id)
    with pytest.raises(NotFound):
        await agents.delete(made.id)
    assert (await agents.create(EVERYTHING)).phone_numbers == EVERYTHING.phone_numbers


async def test_deleting_an_agent_ends_the_sessions_nobody_connected_to(
    database: Database, agents: Agents, clock: ManualClock
) -> None:
    made = await agents.create(agent())
    sessions = Sessions(database, ACCOUNT)
    waiting = await sessions.create(session(clock.now(), agent_id=made.id))
    live = await sessions.create(session(clock.now(), agent_id=made.id))
    other = await sessions.create(session(clock.now()))
    await sessions.begin(live.id, NODE)
    await agents.delete(made.id)
    ended = await sessions.get(waiting.id)
    assert (ended.state, ended.ended_reason) == (SessionState.ENDED, EndedReason.AGENT_DELETED)
    assert ended.agent_id == made.id
    assert (await sessions.get(live.id)).state is SessionState.LIVE
    assert (await sessions.get(other.id)).state is SessionState.CREATED


async def test_a_list_can_be_narrowed_to_a_status(agents: Agents) -> None:
    await agents.create(agent(name="on"))
    await agents.create(agent(name="off", status=AgentStatus.PAUSED))
    page = await agents.list(status=AgentStatus.PAUSED)
    assert ([item.name for item in page.items], page.total) == (["off"], 1)
