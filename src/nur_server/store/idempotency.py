"""Idempotency keys: a request that is sent twice is carried out once.

The first request with a key claims it, is carried out, and stores its answer, which every later one
is given for 24 hours. A claim ends with its lease, so that a server which died while it carried a
request out blocks nobody.
"""

from datetime import datetime, timedelta
from secrets import token_hex

from sqlalchemy import ColumnElement, CursorResult, delete, select, update

from nur_server.errors import Conflict, InvalidRequest
from nur_server.store.engine import Database, insert_into
from nur_server.store.records import Claim, StoredResponse
from nur_server.store.schema import IdempotencyRow

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=60)
MAX_KEY_LENGTH = 255
PARAM = "Idempotency-Key"


class Idempotency:
    """The idempotency keys of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def begin(self, key: str, route: str, request_hash: str) -> Claim | StoredResponse:
        """A `Claim`: carry the request out, then `finish` or `abandon`. Else its stored answer.

        `route` is method and path; `request_hash` tells bodies apart. Raises `InvalidRequest`
        where the key was used with another body or is too long, `Conflict` (retryable) while
        the first request is still being carried out.
        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise InvalidRequest(
                f"expected an {PARAM} of 1 to {MAX_KEY_LENGTH} characters, got {len(key)}",
                param=PARAM,
            )
        claim = Claim(key=key, route=route, token=token_hex(16))
        if await self._claim(claim, request_hash):
            return claim
        async with self._database.read() as session:
            row = await session.scalar(select(IdempotencyRow).where(*self._is(key, route)))
        if row is not None and row.request_hash != request_hash:
            raise InvalidRequest(
                f"expected the body this {PARAM} was first used with, got another; "
                "use a new key for a new request",
                code="idempotency_key_reused",
                param=PARAM,
            )
        if row is None or row.status is None:
            raise _in_progress()
        return StoredResponse(
            status=row.status, headers=dict(row.headers or {}), body=row.body or b""
        )

    async def finish(self, claim: Claim, response: StoredResponse) -> bool:
        """Store the answer. False: the claim had run out and somebody else has it.

        The body is kept as it is: an answer that holds a secret must be abandoned instead.
        """
        async with self._database.write() as session:
            result = await session.execute(
                update(IdempotencyRow)
                .where(*self._is_claimed(claim))
                .values(status=response.status, headers=dict(response.headers), body=response.body)
            )
        assert isinstance(result, CursorResult)
        return result.rowcount == 1

    async def abandon(self, claim: Claim) -> None:
        """Nothing was carried out: the key is free again."""
        async with self._database.write() as session:
            await session.execute(delete(IdempotencyRow).where(*self._is_claimed(claim)))

    async def _claim(self, claim: Claim, request_hash: str) -> bool:
        """One statement, so that of requests at the same time one wins."""
        now = self._database.clock.now()
        async with self._database.write() as session:
            insert = insert_into(session, IdempotencyRow).values(
                account_id=self._account_id,
                key=claim.key,
                route=claim.route,
                request_hash=request_hash,
                token=claim.token,
                created_at=now,
                claimed_until=now + LEASE,
                status=None,
                headers=None,
                body=None,
            )
            columns = [
                "request_hash", "token", "created_at", "claimed_until", "status", "headers", "body"
            ]  # fmt: skip
            winner = await session.scalar(
                insert.on_conflict_do_update(
                    index_elements=["account_id", "key", "route"],
                    set_={name: insert.excluded[name] for name in columns},
                    where=_is_free(now, request_hash),
                ).returning(IdempotencyRow.token)
            )
        return winner == claim.token

    def _is(self, key: str, route: str) -> tuple[ColumnElement[bool], ...]:
        return (
            IdempotencyRow.account_id == self._account_id,
            IdempotencyRow.key == key,
            IdempotencyRow.route == route,
        )

    def _is_claimed(self, claim: Claim) -> tuple[ColumnElement[bool], ...]:
        return (
            *self._is(claim.key, claim.route),
            IdempotencyRow.token == claim.token,
            IdempotencyRow.status.is_(None),
        )


async def forget_old_keys(database: Database) -> int:
    """Remove the keys that are past their 24 hours. How many there were."""
    async with database.write() as session:
        result = await session.execute(
            delete(IdempotencyRow).where(IdempotencyRow.created_at <= database.clock.now() - KEPT)
        )
    assert isinstance(result, CursorResult)
    return result.rowcount


def _is_free(now: datetime, request_hash: str) -> ColumnElement[bool]:
    lapsed = (
        IdempotencyRow.status.is_(None)
        & (IdempotencyRow.claimed_until <= now)
        & (IdempotencyRow.request_hash == request_hash)
    )
    return (IdempotencyRow.created_at <= now - KEPT) | lapsed


def _in_progress() -> Conflict:
    error = Conflict(
        f"a request with this {PARAM} is being carried out; repeat it in a moment",
        code="idempotency_in_progress",
        param=PARAM,
    )
    error.retryable = True
    return error
