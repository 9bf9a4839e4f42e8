"""Browsers that act for an API key: links that are followed once, and sessions of a cookie.

Only the SHA-256 of a secret is kept. Revoking the key, or suspending its account, ends both.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select

from nur_server.ids import new_id
from nur_server.store.engine import Database
from nur_server.store.keys import key_record
from nur_server.store.records import KeyRecord
from nur_server.store.schema import AccountRow, KeyRow, SignInRow
from nur_server.store.secrets import hash_of, new_secret

LINK_LIFE = timedelta(minutes=10)
"""Long enough to walk from a terminal to a browser on another machine."""
SESSION_LIFE = timedelta(hours=12)
"""A working day: whoever comes back the next morning signs in again."""
LINK_PREFIX, COOKIE_PREFIX = "lnk_", "web_"
_LONGEST_SECRET = 100


class SignInKind(StrEnum):
    LINK = "link"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A link or a browser session that is valid now, and the key that it stands for."""

    id: str
    account_name: str
    key: KeyRecord
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """One just made: the only time its secret is known."""

    expires_at: datetime
    secret: str = field(repr=False)


async def make_link(database: Database, key: KeyRecord) -> NewSignIn:
    """A link that signs one browser in, as the key."""
    return await _make(database, key, SignInKind.LINK, LINK_PREFIX, LINK_LIFE)


async def make_session(database: Database, key: KeyRecord) -> NewSignIn:
    """What a browser keeps in its cookie."""
    return await _make(database, key, SignInKind.SESSION, COOKIE_PREFIX, SESSION_LIFE)


async def follow_link(database: Database, secret: str) -> SignIn | None:
    """Use up a link. None: there is none, it was followed before, or it has expired."""
    found = await _find(database, secret, SignInKind.LINK)
    if found is None:
        return None
    async with database.write() as session:
        used = await session.scalar(
            delete(SignInRow).where(SignInRow.id == found.id).returning(SignInRow.id)
        )
    return None if used is None else found


async def find_session(database: Database, secret: str) -> SignIn | None:
    """The browser session with this secret. None: it is not valid, or not any more."""
    return await _find(database, secret, SignInKind.SESSION)


async def end_session(database: Database, secret: str) -> None:
    """Sign out. Ending it again changes nothing."""
    async with database.write() as session:
        await session.execute(delete(SignInRow).where(SignInRow.secret_hash == hash_of(secret)))


async def forget_expired(database: Database) -> None:
    async with database.write() as session:
        await session.execute(delete(SignInRow).where(SignInRow.expires_at <= database.clock.now()))


async def _make(
    database: Database, key: KeyRecord, kind: SignInKind, prefix: str, life: timedelta
) -> NewSignIn:
    now, secret = database.clock.now(), new_secret(prefix)
    expires_at = now + life if key.expires_at is None else min(now + life, key.expires_at)
    async with database.write() as session:
        session.add(
            SignInRow(
                id=new_id("sgn"),
                kind=kind.value,
                secret_hash=hash_of(secret),
                account_id=key.account_id,
                key_id=key.id,
                created_at=now,
                expires_at=expires_at,
            )
        )
    return NewSignIn(expires_at, secret)


async def _find(database: Database, secret: str, kind: SignInKind) -> SignIn | None:
    if len(secret) > _LONGEST_SECRET:
        return None
    now = database.clock.now()
    async with database.read() as session:
        rows = await session.execute(
            select(SignInRow, KeyRow, AccountRow)
            .join(KeyRow, KeyRow.id == SignInRow.key_id)
            .join(AccountRow, AccountRow.id == SignInRow.account_id)
            .where(
                SignInRow.secret_hash == hash_of(secret),
                SignInRow.kind == kind.value,
                SignInRow.expires_at > now,
                KeyRow.revoked_at.is_(None),
                AccountRow.suspended_at.is_(None),
            )
        )
        found = rows.first()
    if found is None:
        return None
    row, key, account = found
    if key.expires_at is not None and key.expires_at <= now:
        return None
    return SignIn(row.id, account.name, key_record(key), row.expires_at)
