"""Database sessions whose caller may be cancelled at any time.

A statement that was sent is waited for; a cancellation takes effect after it. Broken off half-way,
a connection would be lost together with the locks it holds.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

Result = TypeVar("Result")


class SteadySession(AsyncSession):
    """What the store does with a session, each step of it unbroken."""

    async def connection(self, *args: Any, **kwargs: Any) -> Any:
        return await unbroken(super().connection(*args, **kwargs))

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return await unbroken(super().execute(*args, **kwargs))

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        return await unbroken(super().scalar(*args, **kwargs))

    async def scalars(self, *args: Any, **kwargs: Any) -> Any:
        return await unbroken(super().scalars(*args, **kwargs))

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        return await unbroken(super().get(*args, **kwargs))

    async def flush(self, *args: Any, **kwargs: Any) -> None:
        await unbroken(super().flush(*args, **kwargs))

    async def commit(self) -> None:
        await unbroken(super().commit())

    async def close(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        await unbroken(super().close())


async def unbroken(work: Coroutine[Any, Any, Result]) -> Result:
    """Carry `work` through to its end; a cancellation that comes meanwhile is raised then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()
    raise cancelled
