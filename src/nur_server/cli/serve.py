"""`nur serve`."""

import asyncio

import structlog

from nur_server.cli import node, screen, serving
from nur_server.settings import Settings

log = structlog.get_logger()


def run(settings: Settings) -> int:
    """Serve until a signal; the process's exit code."""
    with node.claimed(settings) as place:
        serving.run(_serve(place))
    return 0


async def _serve(place: node.Place) -> None:
    async with node.running(place) as here, asyncio.TaskGroup() as group:
        group.create_task(here.serve())
        await here.server.ready.wait()
        await here.introduce()
        log.info("ready", address=place.address)
        screen.say("Ctrl-C stops it: calls may finish first, a second Ctrl-C ends them", "dim")
