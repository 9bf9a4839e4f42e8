"""`nur talk` and the dialogue beneath it, against a server with scripted engines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from nur import Agent, AsyncNurClient
from nur.audio import write_wav
from nur_server.audio.wav import read_wav
from nur_server.cli.app import run
from nur_server.cli.dialogue import Dialogue
from nur_server.cli.failures import Failure
from nur_server.cli.home import Home
from nur_server.cli.line import RATE, Line
from nur_server.cli.mouth import Reciter
from nur_server.cli.talk import Server, Words, client_tools, converse, find_agent, recite
from nur_server.ports import Samples
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import (
    Call,
    Reply,
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
)
from nur_server.settings import Settings

from .test_serving import AGENT, running

LOOKUP = {"name": "lookup_order", "parameters": {"order_id": {"type": "string"}}}
WAIT_SECONDS = 20


def tone(seconds: float) -> Samples:
    return np.full(round(seconds * RATE), 8000, np.int16)


@asynccontextmanager
async def conversing(
    data_dir: Path, replies: list[Reply], heard: list[str]
) -> AsyncIterator[AsyncNurClient]:
    """A server whose model and recogniser follow a script."""
    catalogue = Catalogue.scripted(
        stt=ScriptedSpeechToText(heard),
        llm=ScriptedLanguageModel(replies),
        tts=ScriptedTextToSpeech(tone_hz=200.0),
    )
    async with running(data_dir, catalogue=catalogue, drain_seconds=0) as here:
        yield here.client


async def test_speaks_in_turn_and_keeps_account(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = ["Where is my order?", "Thank you very much."]
    replies: list[Reply] = [[Call("lookup_order", {"order_id": "7"})], "It shipped.", "Welcome."]
    async with conversing(data_dir, replies, heard) as client:
        agent = await client.agents.create(**AGENT, tools=[LOOKUP])  # type: ignore[arg-type]
        session = await client.agents.sessions.create(agent_id=agent.id, initial_message="Hello!")
        mouth = Reciter()

        async def conduct(dialogue: Dialogue) -> None:
            await recite(dialogue, mouth, [tone(0.6), tone(0.6)])

        tools = {"lookup_order": lambda order_id: "shipped"}
        with Line() as line:
            account = await converse(client, session, tools, line, mouth, asyncio.Event(), conduct)

    assert account.user == heard
    assert [reply.text for reply in account.replies if reply.text] == [
        "Hello!",
        "It shipped.",
        "Welcome.",
    ]
    assert [(call.name, call.arguments) for call in account.tool_calls] == [
        ("lookup_order", {"order_id": "7"})
    ]
    assert account.errors == []
    assert account.ended_reason == "client_ended"
    assert account.replies[0].latency_ms is None
    assert all(len(line.heard_of(reply.id)) for reply in account.replies if reply.text)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in shown] == ["agent", "caller", "tool", "agent", "caller", "agent"]
    assert shown[-1][-1] == "Welcome."


async def test_ends_when_it_is_told_to(data_dir: Path) -> None:
    async with conversing(data_dir, [], []) as client:
        agent = await client.agents.create(**AGENT)  # type: ignore[arg-type]
        session = await client.agents.sessions.create(agent_id=agent.id)
        stopped = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, stopped.set)
        async with asyncio.timeout(WAIT_SECONDS):
            account = await converse(
                client, session, {}, Line(), Reciter(), stopped, Dialogue.until_over
            )
    assert account.ended_reason == "client_ended"


async def test_an_agent_is_found_by_id_and_by_name(data_dir: Path) -> None:
    async with conversing(data_dir, [], []) as client:
        agent = await client.agents.create(**AGENT)  # type: ignore[arg-type]
        assert (await find_agent(client, agent.id)).id == agent.id
        assert (await find_agent(client, "SUPPORT")).id == agent.id
        with pytest.raises(Failure, match=rf"got 'nobody'; agents: Support \({agent.id}\)"):
            await find_agent(client, "nobody")


def test_knows_which_tools_are_the_clients_to_run() -> None:
    tools = [
        {"name": "flat"},
        {"type": "function", "function": {"name": "nested"}},
        {"name": "remote", "http": {"url": "https://example.com"}},
    ]
    agent = Agent(id="agt_1", name="x", voice_id="hazel", system_prompt="x", tools=tools)
    assert client_tools(agent) == ["flat", "nested"]
    assert client_tools(agent.model_copy(update={"tool_url": "https://example.com"})) == []


def test_finds_the_server_and_the_key_of_the_data_directory(data_dir: Path) -> None:
    settings = Settings(_env_file=None, data_dir=data_dir, port=9000)
    with pytest.raises(Failure, match="--api-key"):
        Server.found(settings, None, None)
    Home(data_dir).keep_key("nur_kept")
    assert Server.found(settings, None, None) == Server("http://127.0.0.1:9000", "nur_kept")
    with Home(data_dir).claimed() as claim:
        claim.announce("http://127.0.0.1:9999")
        assert Server.found(settings, None, None).url == "http://127.0.0.1:9999"
    given = Server.found(settings, "https://voice.example.com", "nur_given")
    assert given == Server("https://voice.example.com", "nur_given")


async def test_a_recording_is_said_in_one_go(tmp_path: Path) -> None:
    write_wav(tmp_path / "question.wav", tone(0.5).tobytes())
    (speech,) = await Words(wav=tmp_path / "question.wav").speech()
    assert speech.tolist() == read_wav(tmp_path / "question.wav", RATE).tolist()
    assert len(speech) == RATE // 2


async def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"nowhere\.wav: No such file"):
        await Words(wav=tmp_path / "nowhere.wav").speech()


def test_a_server_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["talk", "x", "--say", "Hi", "--api-key", "nur_x", "--url", "http://127.0.0.1:9"])
    assert code == 1
    assert capsys.readouterr().err.count("\n") == 1
