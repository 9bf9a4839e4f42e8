"""A telephone exchange in a test: scripted callees, scripted engines, a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nur_server.calls.carriers import Carriers
from nur_server.calls.policy import CallPolicy
from nur_server.calls.service import CallService
from nur_server.calls.tasks import CallTimes
from nur_server.clock import Clock, SystemClock
from nur_server.errors import NotFound
from nur_server.opening.sessions import Opener
from nur_server.opening.toolbox import Toolbox
from nur_server.ports import DialRequest, TelephonyEngine
from nur_server.providers.catalogue import Catalogue
from nur_server.session.live import LiveSessions
from nur_server.session.writer import Writer
from nur_server.store import outbox
from nur_server.store.accounts import DEFAULT_ACCOUNT, Accounts
from nur_server.store.agents import Agents
from nur_server.store.call_records import (
    CallFields,
    CallRecord,
)
from nur_server.store.engine import Database
from nur_server.store.records import AgentFields, AgentRecord
from nur_server.store.sink import StoreSink
from nur_server.store.turns import Turns
from nur_server.transports.loopback import (
    Answer,
    HangUp,
    HearOut,
    LoopbackCall,
    LoopbackEngine,
    Ring,
    Script,
    Sound,
)

ACCOUNT = DEFAULT_ACCOUNT
SOMEBODY = "+15550100"
NODE = "node-a"
QUICK = CallTimes(
    dial=3.0, ring_grace=0.5, first_media=3.0, media=3.0, incoming=3.0, look=0.05, close=0.5
)
"""What may happen late on a busy machine has seconds; what never comes is not waited for long."""
GENEROUS = CallPolicy(calls_per_second=1000, concurrent_calls=1000, minutes_per_day=10**6)


def voice(seconds: float = 0.4) -> Sound:
    """A sound that the scripted detector takes for speech."""
    phase = np.arange(int(8000 * seconds)) * 0.3
    return Sound((8000 * np.sin(phase)).astype(np.int16))


TALKS: Script = (Ring(0.05), Answer(), HearOut(0.2), voice(), HearOut(0.2), HangUp())
"""Hears the greeting out, says something, hears the answer and hangs up."""


@dataclass
class Exchange:
    """A running `CallService`, and what there is to see of it."""

    service: CallService
    database: Database
    live: LiveSessions
    agent: AgentRecord
    calls: list[LoopbackCall]
    announced: list[tuple[str, str]] = field(default_factory=list)
    """Call and status, in order."""

    async def dial(self, **fields: Any) -> CallRecord:
        given = {"to_number": SOMEBODY, "from_number": "", "engine": "", "agent_id": self.agent.id}
        return await self.service.dial(
            ACCOUNT, CallFields(**{**given, **fields}), from_number=fields.get("from_number")
        )

    async def over(self, call_id: str) -> CallRecord:
        """The call, once it has ended."""
        async with asyncio.timeout(20):
            while True:
                call = await self.read(call_id)
                if call.is_over and call_id not in self.service:
                    return call
                await asyncio.sleep(0.02)

    async def reached(self, call_id: str, status: str) -> CallRecord:
        """The call, once it is so far."""
        async with asyncio.timeout(20):
            while True:
                call = await self.read(call_id)
                if call.status == status:
                    return call
                await asyncio.sleep(0.02)

    async def read(self, call_id: str) -> CallRecord:
        call = await self.service.calls.find(call_id)
        if call is None:
            raise NotFound(f"no call {call_id}")
        return call

    def statuses(self, call_id: str) -> list[str]:
        return [status for id, status in self.announced if id == call_id]

    async def said(self, call: CallRecord) -> list[tuple[str, str]]:
        turns = await Turns(self.database, ACCOUNT).list(call.session_id)
        return [(turn.speaker.value, turn.text) for turn in turns]


@asynccontextmanager
async def exchange(
    folder: Path,
    callee: Script | Callable[[DialRequest], Script] = TALKS,
    *,
    engine: TelephonyEngine | None = None,
    policy: CallPolicy = GENEROUS,
    times: CallTimes = QUICK,
    catalogue: Catalogue | None = None,
    clock: Clock | None = None,
    max_calls: int = 200,
    **agent: Any,
) -> AsyncIterator[Exchange]:
    """`engine`: a real carrier in place of the simulated one. `agent`: fields of its agent."""
    clock = clock or SystemClock()
    catalogue = catalogue or Catalogue.scripted()
    database = await Database.open(f"sqlite:///{folder / 'nur.db'}", clock=clock)
    await database.migrate()
    await outbox.prepare(database)
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    toolbox = Toolbox(clock, allow_private=False)
    announced: list[tuple[str, str]] = []

    def on_status(call: CallRecord) -> None:
        announced.append((call.id, call.status.value))

    live = LiveSessions(
        vad=catalogue.vad,
        turn_model=None,
        tool_server=toolbox.server,
        writer=Writer(StoreSink(database, NODE, on_status), clock),
        clock=clock,
    )
    calls: list[LoopbackCall] = []
    who = callee if callable(callee) else _always(callee)
    simulated = LoopbackEngine(
        catalogue.text_to_speech().engine, "tone", callee=who, on_call=calls.append
    )
    carriers = Carriers()
    carriers.add(simulated, is_simulated=True)
    if engine is not None:
        carriers.add(engine)
    service = CallService(
        database=database,
        opener=Opener(catalogue, live, toolbox),
        carriers=carriers,
        clock=clock,
        node_id=NODE,
        policy=policy,
        times=times,
        on_status=on_status,
        max_calls=max_calls,
    )
    stored = await Agents(database, ACCOUNT).create(
        AgentFields(
            **{
                "name": "A",
                "voice_id": "hazel",
                "system_prompt": "Be brief.",
                "settings": {"hello_seconds": 0.0},
                **agent,
            }
        )
    )
    try:
        yield Exchange(service, database, live, stored, calls, announced)
    finally:
        await service.drain(0)
        await live.close()
        await simulated.close()
        await toolbox.stop()
        await database.close()


def _always(script: Sequence[Any]) -> Callable[[DialRequest], Script]:
    return lambda request: script
