"""`nur demo`: a server, an agent, and a spoken conversation with it over the real WebSocket."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from statistics import median

from nur import Agent, AsyncNurClient, Session
from nur_server.api.routes.web import has_pages
from nur_server.audio.wav import WavWriter
from nur_server.cli import node, screen, serving
from nur_server.cli.dialogue import Account, Dialogue
from nur_server.cli.line import RATE, Line
from nur_server.cli.mouth import Mouth, Reciter, microphone
from nur_server.cli.node import Node
from nur_server.cli.place import Place
from nur_server.cli.screen import program
from nur_server.cli.script import (
    AGENT,
    CUES,
    GREETING,
    Check,
    Passage,
    lookup_order,
    perform,
    verify,
)
from nur_server.cli.talk import Words, converse, recite
from nur_server.cli.voices import speak
from nur_server.ports import Samples
from nur_server.providers.moonshine import NAME as EARS

RECORDING = "demo.wav"
"""In the data directory."""


def run(
    place: Place,
    words: Words | None,
    on_ready: Callable[[], None],
    *,
    uses_microphone: bool,
    exits: bool,
) -> int:
    """Hold the conversation, and go on serving unless `exits`; the process's exit code.

    `words` None and no microphone: the script of the demonstration.
    """
    return serving.run(_demonstrate(place, words, on_ready, uses_microphone, exits))


async def _demonstrate(
    place: Place,
    words: Words | None,
    on_ready: Callable[[], None],
    uses_microphone: bool,
    exits: bool,
) -> int:
    async with node.running(place) as here, asyncio.TaskGroup() as group:
        group.create_task(here.serve())
        await here.server.ready.wait()
        on_ready()
        await here.introduce()
        async with AsyncNurClient(await here.any_key(), place.address) as client:
            agent = await client.agents.create(**AGENT)
            has_happened = await Demonstration(here, client, agent).hold(words, uses_microphone)
        if exits or here.server.asked_to_stop.is_set():
            here.server.stop()
        else:
            await _tell_what_next(here, agent)
        return 0 if has_happened else 1


class Demonstration:
    """One conversation with the agent, and the proof that it happened."""

    def __init__(self, here: Node, client: AsyncNurClient, agent: Agent) -> None:
        self._here = here
        self._client = client
        self._agent = agent
        self._recording = here.place.settings.data_dir / RECORDING
        self._passages: list[Passage] = []

    async def hold(self, words: Words | None, uses_microphone: bool) -> bool:
        """Talk; say whether it was a conversation."""
        speech = await _speech(words, uses_microphone)
        session = await self._client.agents.sessions.create(
            agent_id=self._agent.id, initial_message=GREETING
        )
        screen.say(f"\nTalking to {self._agent.name} ({self._agent.voice_id}):", "bold")
        writer = WavWriter(self._recording, RATE, channels=2)
        with Line(writer) as line, _mouth(uses_microphone) as mouth:

            async def conduct(dialogue: Dialogue) -> None:
                await self._conduct(dialogue, mouth, words, speech)

            account = await converse(
                self._client,
                session,
                {"lookup_order": lookup_order},
                line,
                mouth,
                self._here.server.asked_to_stop,
                conduct,
            )
        self._sum_up(account)
        is_scripted = words is None and not uses_microphone
        if is_scripted and self._here.server.asked_to_stop.is_set():
            return False
        checks = await self._checks(account, line, session, is_scripted=is_scripted)
        return _report(checks)

    async def _conduct(
        self,
        dialogue: Dialogue,
        mouth: Mouth,
        words: Words | None,
        speech: Sequence[Samples],
    ) -> None:
        dialogue.expect_reply()
        if not isinstance(mouth, Reciter):
            screen.say("Speak; Ctrl-C ends the call. Headphones keep echo out.", "dim")
            await dialogue.until_over()
        elif words is None:
            self._passages = await perform(dialogue, mouth, speech)
        else:
            await recite(dialogue, mouth, speech)

    def _sum_up(self, account: Account) -> None:
        waits = [reply.latency_ms for reply in account.replies if reply.latency_ms is not None]
        screen.say()
        if waits:
            screen.say(
                f"The agent answered within {median(waits) / 1000:.2f} s (median of {len(waits)}; "
                f"longest {max(waits) / 1000:.2f} s), from the end of the caller's speech"
            )
        screen.say(f"Recorded in {self._recording} (left: caller, right: agent)")

    async def _checks(
        self, account: Account, line: Line, session: Session, *, is_scripted: bool
    ) -> list[Check]:
        if not is_scripted:
            return [
                Check("the caller was understood", None if account.user else "no words were"),
                Check("the agent answered", None if account.replies else "it said nothing"),
                Check("nothing failed", "; ".join(account.errors) or None),
            ]
        kept = await self._client.sessions.transcript(session.session_id)
        ears = self._here.services.catalogue.speech_to_text(EARS).engine
        return await verify(self._passages, account, line, kept, ears)


async def _speech(words: Words | None, uses_microphone: bool) -> list[Samples]:
    if uses_microphone:
        return []
    if words is not None:
        return await words.speech()
    return await speak([cue.says for cue in CUES])


def _mouth(uses_microphone: bool) -> AbstractContextManager[Mouth]:
    return microphone() if uses_microphone else nullcontext(Reciter())


def _report(checks: Sequence[Check]) -> bool:
    failed = [check for check in checks if check.problem is not None]
    for check in failed:
        screen.complain(f"{check.name}: {check.problem}")
    if not failed:
        screen.say(f"The conversation happened: {len(checks)} of {len(checks)} checks", "green")
    return not failed


async def _tell_what_next(here: Node, agent: Agent) -> None:
    link = await here.sign_in_link(f"/try/{agent.id}") if has_pages() else None
    if link is not None and screen.is_terminal():
        screen.say("\nTalk to it in your browser (the link works once, for ten minutes):", "bold")
        screen.say(link)
    key_file = here.place.home.key_file
    screen.say("\nThe server stays up until Ctrl-C. Next, in another terminal:", "bold")
    screen.facts(
        [
            ("Talk to it", f'{program()} talk {agent.id} --say "Where is order 1042?"'),
            (
                "Ask the API",
                f'curl -H "Authorization: Bearer $(cat {key_file})" {here.place.address}/v1/agents',
            ),
            ("Write code", "see docs/sdk.md and examples/quickstart.py"),
        ]
    )
