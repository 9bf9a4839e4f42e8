"""`nur migrate`."""

from nur_server.cli import database, screen, serving
from nur_server.settings import Settings


def run(settings: Settings) -> int:
    serving.run(_migrate(settings))
    screen.say("The database has this version's schema")
    return 0


async def _migrate(settings: Settings) -> None:
    async with database.opened(settings, by_command=True):
        pass
