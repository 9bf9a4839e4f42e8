"""`nur keys`: straight from the database, so that nobody is locked out by a lost key."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from nur_server.api.scopes import SCOPES
from nur_server.cli import database, screen, serving
from nur_server.cli.failures import Failure
from nur_server.cli.home import Home
from nur_server.clock import iso
from nur_server.conversation.events import EndedReason
from nur_server.settings import Settings
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.keys import EVERY_SCOPE, Keys, ensure_first_key
from nur_server.store.nodes import wish_key_ended
from nur_server.store.records import KeyRecord
from nur_server.store.sessions import end_waiting_of_key

MOST_LISTED = 100


def create(settings: Settings, name: str, scopes: Sequence[str] | None, days: int | None) -> int:
    """Make a key and print its secret alone, fit for a script."""
    unknown = sorted(set(scopes or ()) - set(SCOPES))
    if unknown:
        raise Failure(f"expected scopes among {', '.join(SCOPES)}; got {', '.join(unknown)}")
    secret = serving.run(_create(settings, name, scopes or [EVERY_SCOPE], days))
    screen.say(secret)
    return 0


def list_all(settings: Settings) -> int:
    found = serving.run(_list(settings))
    head = ("id", "name", "begins with", "scopes", "state", "last used")
    screen.table(head, (_row(record) for record in found))
    return 0


def revoke(settings: Settings, key_id: str) -> int:
    serving.run(_revoke(settings, key_id))
    screen.say(f"{key_id} is revoked")
    return 0


async def _create(settings: Settings, name: str, scopes: Sequence[str], days: int | None) -> str:
    async with database.opened(settings) as opened:
        first = await ensure_first_key(opened)
        if first is not None:
            Home(settings.data_dir).keep_key(first.secret)
        ends = None if days is None else opened.clock.now() + timedelta(days=days)
        made = await Keys(opened, DEFAULT_ACCOUNT).create(name, scopes, expires_at=ends)
        return made.secret


async def _list(settings: Settings) -> Sequence[KeyRecord]:
    async with database.opened(settings) as opened:
        page = await Keys(opened, DEFAULT_ACCOUNT).list(limit=MOST_LISTED)
    return page.items


async def _revoke(settings: Settings, key_id: str) -> None:
    async with database.opened(settings) as opened:
        await Keys(opened, DEFAULT_ACCOUNT).revoke(key_id)
        if settings.revoking_ends_sessions:
            reason = EndedReason.KEY_REVOKED
            await end_waiting_of_key(opened, DEFAULT_ACCOUNT, key_id, reason)
            await wish_key_ended(opened, DEFAULT_ACCOUNT, key_id, reason)


def _row(record: KeyRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.name,
        f"{record.prefix}…",
        " ".join(sorted(record.scopes)),
        _state(record),
        _moment(record.last_used_at) or "never",
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return f"revoked {_moment(record.revoked_at)}"
    if record.expires_at is not None:
        return f"until {_moment(record.expires_at)}"
    return "valid"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else iso(moment)[:16].replace("T", " ")
