"""Opening a conversation with an agent in a test."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from nur_server.clock import LoopClock
from nur_server.conversation.config import ConversationConfig
from nur_server.ports import LanguageModel, ListenOptions, ReplyRequest, TurnModel
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Reply, ScriptedLanguageModel, ScriptedVoiceActivity
from nur_server.session.live import LiveSessions
from nur_server.session.setup import SessionSetup
from nur_server.session.writer import Writer
from nur_server.testing.agent import ACCOUNT_ID, AGENT_ID, Opening, setup_of
from nur_server.testing.rehearsal import Rehearsal
from nur_server.testing.tools import Bench, Tool
from nur_server.testing.virtual_time import virtual_time
from nur_server.testing.voice import Voice
from nur_server.testing.world import World
from nur_server.text.languages import primary

Model = LanguageModel | Callable[[ReplyRequest], Reply]


@asynccontextmanager
async def conversation(
    agent: Mapping[str, Any] | ConversationConfig | None = None,
    *,
    replies: Sequence[Reply] | None = None,
    model: Model | None = None,
    tools: Mapping[str, Tool] | None = None,
    context: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    initial_message: str | None = None,
    world: World | None = None,
    virtual: bool | None = None,
) -> AsyncIterator[Rehearsal]:
    """A conversation with an agent, from a test.

    `agent` is a body of `POST /v1/agents`; fields left out have a default. Its answers are
    `replies` in turn (none is begun before the caller's turn is certainly over, so that each is
    asked for once), or those of `model`: a function from the request to a reply, or any language
    model. `tools` are the functions behind the agent's tools, whoever is to run them.
    `context`, `metadata` and `initial_message` are what the session is opened with.

    Time is virtual unless `model` is a real language model; `virtual` says otherwise.
    """
    world = world or World()
    llm = _model(replies, model)
    bench = Bench(tools or {})
    voice = Voice()
    opening = Opening(context or {}, metadata or {}, initial_message)
    is_virtual = isinstance(llm, ScriptedLanguageModel) if virtual is None else virtual
    with ExitStack() as stack:
        if is_virtual:
            stack.enter_context(virtual_time())
        turn_model = world.turn_model(voice) if world.turn_model is not None else None
        live = LiveSessions(
            vad=ScriptedVoiceActivity(),
            turn_model=turn_model,
            tool_server=bench,
            writer=Writer(world.memory, LoopClock()),
            clock=LoopClock(),
            resume_seconds=world.resume_seconds,
        )
        setup = _setup(agent, opening, world, voice, llm, turn_model)
        _check_names(bench, setup)
        if replies is not None:
            setup = _asking_once(setup)
        call = Rehearsal(live, setup, voice, world, bench)
        try:
            await call.open(world.answers_after_seconds)
            yield call
        finally:
            await call.close()
        call.check_tools()


def _model(replies: Sequence[Reply] | None, model: Model | None) -> LanguageModel:
    if replies is not None and model is not None:
        raise TypeError("expected replies or a model, got both")
    if model is None:
        return ScriptedLanguageModel(replies or ())
    return ScriptedLanguageModel(model) if callable(model) else model


def _check_names(bench: Bench, setup: SessionSetup) -> None:
    """A function for a tool the agent does not have is a slip of the pen."""
    own = {tool.name for tool in setup.conversation.tools}
    strange = sorted(bench.tools.keys() - own)
    if strange:
        known = ", ".join(sorted(own)) or "none"
        raise TypeError(f"expected functions for the agent's tools ({known}), got {strange}")


def _setup(
    agent: Mapping[str, Any] | ConversationConfig | None,
    opening: Opening,
    world: World,
    voice: Voice,
    llm: LanguageModel,
    turn_model: TurnModel | None,
) -> SessionSetup:
    stt = world.stt(voice)
    if not isinstance(agent, ConversationConfig):
        catalogue = Catalogue.scripted(stt=stt, llm=llm, tts=world.tts, turn_model=turn_model)
        setup = setup_of(agent or {}, opening, catalogue)
        return replace(setup, output_rate=world.output_rate)
    return SessionSetup(
        account_id=ACCOUNT_ID,
        session_id=agent.session_id,
        agent_id=AGENT_ID,
        conversation=replace(agent, has_turn_model=turn_model is not None),
        listen=ListenOptions(language=primary(agent.language)),
        voice="scripted",
        stt=stt,
        llm=llm,
        tts=world.tts,
        output_rate=world.output_rate,
    )


def _asking_once(setup: SessionSetup) -> SessionSetup:
    """No reply is begun early and thrown away, so that each takes the next of a list."""
    return replace(setup, conversation=replace(setup.conversation, eager_replies=False))
