"""Several processes at one database, and processes that die."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

from nur_server.conversation.events import EndedReason
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.sessions import Sessions, end_lost_sessions
from nur_server.store.turns import Turns

from .samples import ACCOUNT, NODE, agent, live_session

WORKER = Path(__file__).with_name("worker.py")
PROCESSES = 3
SECONDS = 60


async def start(task: str, url: str, *arguments: object) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, WORKER, task, url, *map(str, arguments), stdout=PIPE
    )


async def kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def run_at_once(*commands: tuple[object, ...]) -> list[str]:
    """What each command printed. Fails unless all of them succeed."""
    async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
        processes = []
        for task, url, *arguments in commands:
            processes.append(await start(str(task), str(url), *arguments))
            stack.push_async_callback(kill, processes[-1])
        printed = [(await process.communicate())[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * len(commands)
        return [lines.decode().strip() for lines in printed]


async def test_reading_changing_and_writing_back_loses_nothing(
    database: Database, url: str
) -> None:
    made = await Agents(database, ACCOUNT).create(agent(context_window=0))
    await run_at_once(*[("increment", url, made.id, 40)] * PROCESSES)
    assert (await Agents(database, ACCOUNT).get(made.id)).context_window == 40 * PROCESSES


async def test_changes_of_one_agent_by_several_processes_are_all_kept(
    database: Database, url: str
) -> None:
    made = await Agents(database, ACCOUNT).create(agent())
    names = "abc"
    await run_at_once(*[("add_settings", url, ACCOUNT, made.id, name, 20) for name in names])
    settings = (await Agents(database, ACCOUNT).get(made.id)).settings
    assert set(settings) == {f"{name}{place}" for name in names for place in range(20)}


async def test_servers_that_start_at_once_share_one_new_database(empty_url: str) -> None:
    printed = await run_at_once(*[("set_up", empty_url)] * PROCESSES)
    assert sorted(printed) == ["found"] * (PROCESSES - 1) + ["made"]


async def test_a_killed_server_loses_no_finished_turn(database: Database, url: str) -> None:
    live = await live_session(database)
    writer = await start("commit_turns", url, live.id)
    try:
        async with asyncio.timeout(SECONDS):
            assert writer.stdout is not None
            committed = [int(await writer.stdout.readline()) for _ in range(25)]
    finally:
        await kill(writer)
    committed += [int(line) for line in (await writer.stdout.read()).split()]

    stored = {turn.index: turn.text for turn in await Turns(database, ACCOUNT).list(live.id)}
    assert all(stored.get(index) == f"Turn {index}." for index in committed)
    await end_lost_sessions(database, NODE)
    ended = await Sessions(database, ACCOUNT).get(live.id)
    assert (ended.ended_reason, ended.user_turns) == (EndedReason.INTERNAL_ERROR, len(stored))
