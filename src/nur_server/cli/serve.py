"""`nur serve`."""

import asyncio
from collections.abc import Callable

import structlog

from nur_server.cli import node, screen, serving
from nur_server.cli.place import Place

log = structlog.get_logger()


def run(place: Place, on_ready: Callable[[], None]) -> int:
    """Serve until a signal; the process's exit code."""
    serving.run(_serve(place, on_ready))
    return 0


async def _serve(place: Place, on_ready: Callable[[], None]) -> None:
    async with node.running(place) as here, asyncio.TaskGroup() as group:
        group.create_task(here.serve())
        await here.server.ready.wait()
        on_ready()
        await here.introduce()
        log.info("ready", address=place.address)
        screen.say("Ctrl-C stops it: calls may finish first, a second Ctrl-C ends them", "dim")
