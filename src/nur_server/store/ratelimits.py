"""Rate limits that hold over several nodes: a row per key and window, counted by one statement.

By the database's clock, so that nodes agree on when a window ends. PostgreSQL.
"""

from collections import OrderedDict
from dataclasses import dataclass

from limits.aio.storage import Storage
from sqlalchemy import delete, text

from nur_server.errors import NurError
from nur_server.store.engine import Database
from nur_server.store.schema import RateLimitRow

REMEMBERED = 10_000
"""Keys whose last count is known without asking."""
COUNT = text(
    """
    INSERT INTO rate_limits AS known (key, hits, expires_at)
    VALUES (:key, :amount, extract(epoch FROM clock_timestamp()) + :seconds)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN known.expires_at <= extract(epoch FROM clock_timestamp())
            THEN excluded.hits ELSE known.hits + excluded.hits END,
        expires_at = CASE WHEN known.expires_at <= extract(epoch FROM clock_timestamp())
            THEN excluded.expires_at ELSE known.expires_at END
    RETURNING hits, expires_at
    """
)


async def shared_counts(database: Database) -> "PostgresStorage | None":
    """Where nodes count together. None: on SQLite each counts for itself."""
    return None if database.is_sqlite else PostgresStorage(database)


@dataclass(frozen=True, slots=True)
class _Count:
    hits: int
    expires_at: float


class PostgresStorage(Storage):
    """A `limits` storage for windows of fixed length. What `get` and `get_expiry` say is as of
    this node's last count."""

    STORAGE_SCHEME = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        return NurError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        async with self._database.write() as session:
            found = await session.execute(COUNT, {"key": key, "amount": amount, "seconds": expiry})
            hits, expires_at = found.one()
        self._counts[key] = _Count(int(hits), float(expires_at))
        self._counts.move_to_end(key)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return int(hits)

    async def get(self, key: str) -> int:
        count = self._counts.get(key)
        return 0 if count is None else count.hits

    async def get_expiry(self, key: str) -> float:
        count = self._counts.get(key)
        return self._database.clock.now().timestamp() if count is None else count.expires_at

    async def check(self) -> bool:
        async with self._database.read() as session:
            return bool(await session.scalar(text("SELECT 1")))

    async def reset(self) -> int | None:
        self._counts.clear()
        async with self._database.write() as session:
            await session.execute(delete(RateLimitRow))
        return None

    async def clear(self, key: str) -> None:
        self._counts.pop(key, None)
        async with self._database.write() as session:
            await session.execute(delete(RateLimitRow).where(RateLimitRow.key == key))
