"""`nur dial`: have an agent of a running server call a number, and watch the call."""

import asyncio

from rich.text import Text

from nur import AsyncNurClient, PhoneCall, TranscriptTurn
from nur_server.cli import screen, serving
from nur_server.cli.talk import Server, find_agent

LOOK_SECONDS = 0.25
"""Between two looks at the call."""
OVER = ("completed", "failed", "no_answer", "canceled")
_SPEAKERS = {"agent": ("agent", "green"), "user": ("callee", "cyan")}


def run(server: Server, number: str, agent: str, *, context: dict[str, str], record: bool) -> int:
    """Call, and show what happens until the call is over. Ctrl-C hangs up.

    `agent`: an id or a name. 0 only where somebody answered and the call was completed.
    """
    return serving.run(_dial(server, number, agent, context, record))


async def _dial(
    server: Server, number: str, agent: str, context: dict[str, str], record: bool
) -> int:
    async with AsyncNurClient(server.api_key, server.url) as client:
        found = await find_agent(client, agent)
        call = await client.calls.create(
            agent_id=found.id, phone_number=number, context=context, record=record
        )
        for warning in call.warnings:
            screen.warn(str(warning))
        screen.say(f"{found.name} calls {number} as {call.from_number} ({call.id})", "bold")
        stopped = asyncio.Event()
        with serving.on_signal(stopped.set):
            async with asyncio.TaskGroup() as group:
                leaving = group.create_task(_hang_up(client, call, stopped))
                ended = await _Watch(client).until_over(call)
                leaving.cancel()
    _sum_up(ended)
    return 0 if ended.status == "completed" else 1


async def _hang_up(client: AsyncNurClient, call: PhoneCall, stopped: asyncio.Event) -> None:
    await stopped.wait()
    await client.calls.end(call.id)


class _Watch:
    """Shows a call's statuses and finished turns as they come."""

    def __init__(self, client: AsyncNurClient) -> None:
        self._client = client
        self._status = ""
        self._shown = 0
        """Turns on the screen."""

    async def until_over(self, call: PhoneCall) -> PhoneCall:
        while True:
            call = await self._client.calls.get(call.id)
            self._show_status(call)
            if call.started_at is not None:
                await self._show_turns(call)
            if call.status in OVER:
                return call
            await asyncio.sleep(LOOK_SECONDS)

    def _show_status(self, call: PhoneCall) -> None:
        if call.status != self._status and call.status not in OVER:
            screen.say(f"  {call.status.replace('_', ' ')}", "dim")
        self._status = call.status

    async def _show_turns(self, call: PhoneCall) -> None:
        transcript = await self._client.sessions.transcript(call.session_id)
        for turn in transcript.turns[self._shown :]:
            _show(turn)
        self._shown = len(transcript.turns)


def _show(turn: TranscriptTurn) -> None:
    who, style = _SPEAKERS.get(turn.speaker, (turn.speaker, ""))
    waited = "" if turn.latency_ms is None else f"{turn.latency_ms / 1000:.2f} s"
    line = Text.assemble((f"  {who:<8}", style), (f"{waited:<8}", "dim"), turn.text)
    if turn.interrupted:
        line.append(" — interrupted", style="yellow")
    screen.out.print(line)


def _sum_up(call: PhoneCall) -> None:
    reason = "" if call.ended_reason in (None, call.status) else f": {call.ended_reason}"
    about = "" if call.started_at is None else f" after {call.duration_seconds:.0f} s"
    good = call.status == "completed"
    screen.say(f"{call.status}{reason}{about}", "green" if good else "yellow")
    if call.error is not None and call.error != call.ended_reason:
        screen.complain(call.error)
    if call.recording_url is not None:
        screen.say(f"Recorded: {call.recording_url}", "dim")
