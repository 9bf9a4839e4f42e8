"""What this server signs with, the same on every node and after every restart."""

from secrets import token_bytes

from sqlalchemy import select

from nur_server.store.engine import Database, insert_into
from nur_server.store.schema import SigningSecretRow


async def signing_secret(database: Database, purpose: str) -> bytes:
    """256 random bits, made the first time they are asked for. Read it once, at the start."""
    async with database.write() as session:
        await session.execute(
            insert_into(session, SigningSecretRow)
            .values(purpose=purpose, secret=token_bytes(32), created_at=database.clock.now())
            .on_conflict_do_nothing()
        )
        secret = await session.scalar(
            select(SigningSecretRow.secret).where(SigningSecretRow.purpose == purpose)
        )
    assert secret is not None
    return secret
