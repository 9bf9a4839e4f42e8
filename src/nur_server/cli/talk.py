"""`nur talk`: a spoken conversation with an agent of a running server."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nur import Agent, AsyncNurClient, Session
from nur.errors import NotFound
from nur.tools import ToolFunction
from nur_server.audio.wav import WavWriter, read_wav
from nur_server.cli import screen, serving
from nur_server.cli.dialogue import Account, Dialogue
from nur_server.cli.failures import Failure
from nur_server.cli.home import Home
from nur_server.cli.line import RATE, Line
from nur_server.cli.mouth import Mouth, Reciter, microphone
from nur_server.cli.voices import speak
from nur_server.ports import Samples
from nur_server.settings import Settings

ANSWER_SECONDS = 60.0
"""Longest wait for the agent to have answered."""
GREETING_SECONDS = 2.0
"""How long the caller waits for an agent that may or may not speak first."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a caller says who does not use the microphone."""

    texts: tuple[str, ...] = ()
    """Spoken by the embedded synthesiser, each when it is the caller's turn."""
    wav: Path | None = None
    """A recording, said in one go."""

    async def speech(self) -> list[Samples]:
        """Each turn as audio. Raises `Failure` for a recording that cannot be read."""
        if self.wav is None:
            return await speak(self.texts)
        try:
            return [await asyncio.to_thread(read_wav, self.wav, RATE)]
        except OSError as error:
            raise Failure(f"cannot read {self.wav}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Server:
    """Where to talk, and with which key."""

    url: str
    api_key: str

    @classmethod
    def found(cls, settings: Settings, url: str | None, api_key: str | None) -> "Server":
        """What is given, else the server of the data directory. Raises `Failure` without a key."""
        home = Home(settings.data_dir)
        key = api_key or home.key()
        if key is None:
            raise Failure(
                "expected an API key, got none: pass --api-key or set NUR_API_KEY; "
                f"the first start of a server keeps one in {home.key_file}"
            )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        usual = f"http://{host}:{settings.port}"
        return cls(url or home.server_address() or usual, key)


def run(
    server: Server,
    agent: str,
    words: Words | None,
    *,
    answers: Mapping[str, str],
    recording: Path | None,
) -> int:
    """Talk until there is nothing more to say, or Ctrl-C. `words` None: into the microphone.

    `agent`: an id or a name; `answers`: by tool name, what to answer its calls with.
    """
    return serving.run(_talk(server, agent, words, answers, recording))


async def _talk(
    server: Server,
    agent: str,
    words: Words | None,
    answers: Mapping[str, str],
    recording: Path | None,
) -> int:
    speech = None if words is None else await words.speech()
    async with AsyncNurClient(server.api_key, server.url) as client:
        found = await find_agent(client, agent)
        session = await client.agents.sessions.create(agent_id=found.id)
        for warning in session.warnings:
            screen.warn(str(warning))
        tools = {name: _canned(answer) for name, answer in answers.items()}
        tools |= {name: _refuse(name) for name in client_tools(found) if name not in tools}
        writer = None if recording is None else WavWriter(recording, RATE, channels=2)
        stopped = asyncio.Event()
        with Line(writer) as line, serving.on_signal(stopped.set), _mouth(speech) as mouth:

            async def conduct(dialogue: Dialogue) -> None:
                if isinstance(mouth, Reciter) and speech is not None:
                    await recite(dialogue, mouth, speech)
                else:
                    screen.say("Speak; Ctrl-C ends the call. Headphones keep echo out.", "dim")
                    await dialogue.until_over()

            account = await converse(client, session, tools, line, mouth, stopped, conduct)
    if recording is not None:
        screen.say(f"Recorded in {recording} (left: caller, right: agent)", "dim")
    screen.say(f"Session {session.session_id} ended: {account.ended_reason}", "dim")
    return 0 if account.replies and not account.errors else 1


async def converse(
    client: AsyncNurClient,
    session: Session,
    tools: Mapping[str, ToolFunction],
    line: Line,
    mouth: Mouth,
    stopped: asyncio.Event,
    conduct: Callable[[Dialogue], Coroutine[Any, Any, None]],
) -> Account:
    """Hold a session as `conduct` says, then end it; `stopped` ends it before.

    Raises `LiveError` where the session cannot go on.
    """
    async with client.sessions.connect(session, tools=tools, binary=True) as live:
        dialogue = Dialogue(live, line, mouth)
        async with asyncio.TaskGroup() as group:
            group.create_task(dialogue.run())
            await serving.first_of(conduct(dialogue), stopped.wait())
            await dialogue.end()
    return dialogue.account


async def recite(dialogue: Dialogue, mouth: Reciter, speech: Sequence[Samples]) -> None:
    """Say each turn once the agent has finished, and hear its last answer."""
    await dialogue.until(lambda: dialogue.heard_seconds() > 0, GREETING_SECONDS)
    for samples in speech:
        await dialogue.until_settled(ANSWER_SECONDS)
        mouth.say(samples)
        dialogue.expect_reply()
    await dialogue.until_settled(ANSWER_SECONDS + sum(map(len, speech)) / RATE)


async def find_agent(client: AsyncNurClient, wanted: str) -> Agent:
    """The agent with this id, or the newest with this name. Raises `Failure`."""
    try:
        return await client.agents.get(wanted)
    except NotFound:
        pass
    names: list[str] = []
    async for agent in client.agents.list(limit=100):
        if agent.name.casefold() == wanted.casefold():
            return agent
        names.append(f"{agent.name} ({agent.id})")
    known = ", ".join(names[:10]) or "none yet"
    raise Failure(f"expected the id or the name of an agent, got {wanted!r}; agents: {known}")


def client_tools(agent: Agent) -> list[str]:
    """The agent's tools that nobody but the client runs."""
    if agent.tool_url:
        return []
    functions = [tool.get("function") or tool for tool in agent.tools if "http" not in tool]
    return [str(function["name"]) for function in functions if "name" in function]


def _canned(answer: str) -> ToolFunction:
    try:
        value = json.loads(answer)
    except ValueError:
        value = answer
    return lambda **_: value


def _refuse(name: str) -> ToolFunction:
    def refuse(**_: object) -> None:
        raise LookupError(f"nobody on this side can run {name}")

    return refuse


def _mouth(speech: Sequence[Samples] | None) -> AbstractContextManager[Mouth]:
    return microphone() if speech is None else nullcontext(Reciter())
