"""`nur accounts`: straight from the database, for whoever runs the server."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nur_server.api.recordings import blobs_url
from nur_server.calls.numbers import read_number
from nur_server.cli import database, screen, serving
from nur_server.cli.failures import Failure
from nur_server.ids import new_id
from nur_server.settings import Settings
from nur_server.store import belongings
from nur_server.store.accounts import ACCOUNT, Accounts
from nur_server.store.blobs import open_blobs
from nur_server.store.engine import Database
from nur_server.store.keys import EVERY_SCOPE, Keys
from nur_server.store.numbers import PhoneNumbers
from nur_server.store.records import AccountRecord

MOST_LISTED = 100

T = TypeVar("T")


def create(settings: Settings, name: str, limits: Mapping[str, int | None]) -> int:
    """Make an account with a key, and print both: the id, then the key alone."""

    async def work(opened: Database) -> tuple[str, str]:
        account_id = new_id(ACCOUNT)
        accounts = Accounts(opened)
        await accounts.create(account_id, name)
        await accounts.change(account_id, _given(limits))
        made = await Keys(opened, account_id).create("first key", [EVERY_SCOPE])
        return account_id, made.secret

    account_id, secret = _with(settings, work)
    screen.say(account_id)
    screen.say(secret)
    return 0


def list_all(settings: Settings) -> int:
    async def work(opened: Database) -> tuple[AccountRecord, ...]:
        return (await Accounts(opened).list(limit=MOST_LISTED)).items

    head = ("id", "name", "live sessions", "agents", "state")
    screen.table(head, (_row(record) for record in _with(settings, work)))
    return 0


def limit(
    settings: Settings, account_id: str, limits: Mapping[str, int | None], *, suspend: bool | None
) -> int:
    """Set the limits that are given; 0 is none at all, -1 lifts a limit."""

    async def work(opened: Database) -> None:
        changes = _given(limits)
        if suspend:
            await belongings.suspend(opened, account_id)
        elif suspend is False:
            changes["suspended_at"] = None
        await Accounts(opened).change(account_id, changes)

    _with(settings, work)
    screen.say(f"{account_id} is changed")
    return 0


def delete(settings: Settings, account_id: str, *, is_sure: bool) -> int:
    """Erase an account and everything of it."""
    if not is_sure:
        raise Failure(
            f"this erases {account_id} with its agents, sessions and recordings for good: export "
            "it first with `nur accounts export`, then repeat the command with --yes"
        )
    blobs = open_blobs(blobs_url(settings))
    _with(settings, lambda opened: belongings.erase(opened, blobs, account_id))
    screen.say(f"{account_id} is erased")
    return 0


def export(settings: Settings, account_id: str, archive: Path) -> int:
    """Write everything of an account to a ZIP file that its owner alone can read."""
    if archive.exists():
        raise Failure(f"expected a file that is not there yet, got {archive}: name another")
    blobs = open_blobs(blobs_url(settings))
    archive.touch(mode=0o600)
    try:
        _with(settings, lambda opened: belongings.export(opened, blobs, account_id, archive))
    except BaseException:
        archive.unlink(missing_ok=True)
        raise
    screen.say(f"{account_id} is in {archive}")
    return 0


def give_number(settings: Settings, account_id: str, number: str) -> int:
    """Give an account a phone number, without its proof."""
    read_number(number, "number")

    async def work(opened: Database) -> None:
        await Accounts(opened).get(account_id)
        await PhoneNumbers(opened, account_id).create(number)

    _with(settings, work)
    screen.say(f"{number} belongs to {account_id}")
    return 0


def _given(limits: Mapping[str, int | None]) -> dict[str, Any]:
    return {
        name: None if value < 0 else value for name, value in limits.items() if value is not None
    }


def _with(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        async with database.opened(settings) as opened:
            return await work(opened)

    return serving.run(run())


def _row(record: AccountRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.name,
        "any" if record.max_live_sessions is None else str(record.max_live_sessions),
        "any" if record.max_agents is None else str(record.max_agents),
        "suspended" if record.suspended_at else "open",
    )
