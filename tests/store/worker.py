"""Another process at the same database: `python worker.py TASK URL ARGUMENT…`."""

import asyncio
import sys
from dataclasses import replace

from sqlalchemy import select

from nur_server.conversation.record import Speaker, Turn
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.keys import ensure_first_key
from nur_server.store.schema import AgentRow
from nur_server.store.sink import StoreSink

TURN = Turn(0, "item", Speaker.USER, "Words.", 0, 900, "speech")


async def set_up(database: Database) -> None:
    """Start as a server does, and say whether this process made the first key."""
    await database.migrate()
    say("made" if await ensure_first_key(database) else "found")


async def add_settings(
    database: Database, account_id: str, agent_id: str, name: str, count: str
) -> None:
    """Add settings of its own to an agent others change too."""
    for place in range(int(count)):
        await Agents(database, account_id).update(agent_id, {"settings": {f"{name}{place}": place}})


async def increment(database: Database, agent_id: str, count: str) -> None:
    """Read a number, add one, write it back."""
    for _ in range(int(count)):
        async with database.write() as session:
            row = await session.scalar(
                select(AgentRow).where(AgentRow.id == agent_id).with_for_update()
            )
            assert row is not None
            row.context_window += 1


async def commit_turns(database: Database, session_id: str) -> None:
    """Commit turn after turn, saying each index once it is durable, until killed."""
    sink = StoreSink(database, "node-a")
    index = 0
    while True:
        await sink.turn_finished(session_id, replace(TURN, index=index, text=f"Turn {index}."))
        say(str(index))
        index += 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(task: str, url: str, *arguments: str) -> None:
    database = await Database.open(url)
    try:
        await TASKS[task](database, *arguments)
    finally:
        await database.close()


TASKS = {task.__name__: task for task in (set_up, add_settings, increment, commit_turns)}

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
