"""What is done with a conversation once it is over."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.jobs.queue import Handler, Run
from nur_server.store.outbox import Job, enqueue

POST_CALL = "call.post"
"""The job that works on a conversation that is over."""


async def put_down(session: AsyncSession, session_id: str) -> None:
    """Have a conversation worked on, once it is over for good: when this transaction is."""
    await enqueue(
        session,
        Job(name=POST_CALL, payload={"session_id": session_id}, key=f"{session_id}:post"),
    )


def handler(work: Callable[[str], Awaitable[None]]) -> Handler:
    """For `Queue.register`: `work` is given the session's id, may be given it again, and is tried
    again where it raises."""

    async def handle(run: Run) -> None:
        await work(run.payload["session_id"])

    return handle
