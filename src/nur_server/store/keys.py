"""API keys: `nur_` and 256 random bits, of which only the SHA-256 is kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, or_, select, update

from nur_server.errors import NotFound, Unavailable
from nur_server.ids import KEY, new_id
from nur_server.store.accounts import DEFAULT_ACCOUNT, insert_account
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import KeyRecord, NewKey, Page
from nur_server.store.schema import AccountRow, KeyRow
from nur_server.store.secrets import KEY_PREFIX, hash_of, new_secret

SECRET_LENGTH = len(KEY_PREFIX) + 64
SHOWN = len(KEY_PREFIX) + 6
"""Characters of the secret that are kept for display."""
EVERY_SCOPE = "*"
USE_NOTED_EVERY = timedelta(minutes=1)

log = structlog.get_logger(__name__)


class Keys:
    """The API keys of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def create(
        self, name: str, scopes: Iterable[str], *, expires_at: datetime | None = None
    ) -> NewKey:
        """A new key. Its secret is returned here and nowhere else."""
        made = _Made.now(self._database, self._account_id, name, scopes, expires_at)
        async with self._database.write() as session:
            session.add(made.row)
        return NewKey(record=key_record(made.row), secret=made.secret)

    async def get(self, key_id: str) -> KeyRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(select(KeyRow).where(*self._is(key_id)))
        return key_record(_existing(row, key_id))

    async def list(
        self, *, limit: int = DEFAULT_LIMIT, offset: int = 0, cursor: str | None = None
    ) -> Page[KeyRecord]:
        """Revoked and expired ones too. Raises `InvalidRequest` for a bad window."""
        async with self._database.read() as session:
            return await read_page(
                session,
                KeyRow,
                [KeyRow.account_id == self._account_id],
                key_record,
                limit=limit,
                offset=offset,
                cursor=cursor,
            )

    async def revoke(self, key_id: str) -> KeyRecord:
        """End a key for good. Revoking it again changes nothing. Raises `NotFound`."""
        now = self._database.clock.now()
        async with self._database.write() as session:
            await session.execute(
                update(KeyRow)
                .where(*self._is(key_id), KeyRow.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            row = await session.scalar(select(KeyRow).where(*self._is(key_id)))
        return key_record(_existing(row, key_id))

    def _is(self, key_id: str) -> tuple[ColumnElement[bool], ...]:
        return KeyRow.id == key_id, KeyRow.account_id == self._account_id


async def authenticate(database: Database, raw: str) -> KeyRecord | None:
    """The key with this secret. None: there is none, it is revoked or has expired, or its account
    is suspended."""
    if len(raw) != SECRET_LENGTH or not raw.startswith(KEY_PREFIX):
        return None
    now = database.clock.now()
    async with database.read() as session:
        row = await session.scalar(
            select(KeyRow)
            .join(AccountRow, AccountRow.id == KeyRow.account_id)
            .where(KeyRow.secret_hash == hash_of(raw), AccountRow.suspended_at.is_(None))
        )
    if row is None or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    if row.last_used_at is None or row.last_used_at <= now - USE_NOTED_EVERY:
        await _note_use(database, row.id, now)
    return key_record(row)


async def ensure_first_key(database: Database) -> NewKey | None:
    """On the first start ever: the default account and a key to everything in it.

    None on every later start, and for all but one of several processes that start at once.
    """
    made = _Made.now(database, DEFAULT_ACCOUNT, "first key", [EVERY_SCOPE], None)
    async with database.write() as session:
        if not await insert_account(session, DEFAULT_ACCOUNT, "default", made.row.created_at):
            return None
        session.add(made.row)
    return NewKey(record=key_record(made.row), secret=made.secret)


@dataclass(frozen=True, slots=True)
class _Made:
    row: KeyRow
    secret: str

    @classmethod
    def now(
        cls,
        database: Database,
        account_id: str,
        name: str,
        scopes: Iterable[str],
        expires_at: datetime | None,
    ) -> "_Made":
        secret = new_secret(KEY_PREFIX)
        row = KeyRow(
            id=new_id(KEY),
            account_id=account_id,
            name=name,
            prefix=secret[:SHOWN],
            secret_hash=hash_of(secret),
            scopes=sorted(set(scopes)),
            created_at=database.clock.now(),
            expires_at=expires_at,
        )
        return cls(row, secret)


async def _note_use(database: Database, key_id: str, now: datetime) -> None:
    """Best effort: a database that cannot be written does not lock anybody out."""
    unnoted = or_(KeyRow.last_used_at.is_(None), KeyRow.last_used_at <= now - USE_NOTED_EVERY)
    try:
        async with database.write() as session:
            await session.execute(
                update(KeyRow).where(KeyRow.id == key_id, unnoted).values(last_used_at=now)
            )
    except Unavailable as error:
        log.warning("use of an API key not noted", key_id=key_id, code=error.code)


def _existing(row: KeyRow | None, key_id: str) -> KeyRow:
    if row is None:
        raise NotFound(f"no API key {key_id!r}", param="key_id")
    return row


def key_record(row: KeyRow) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
