import asyncio

import pytest

from nur_server.store.steady import unbroken


async def test_the_result_comes_back() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await unbroken(work()) == 7


async def test_a_failure_comes_back() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await unbroken(work())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_work_however_often_it_comes(fails: bool) -> None:
    started, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await go_on.wait()
        finished.set()
        if fails:
            raise KeyError("lost")

    caller = asyncio.ensure_future(unbroken(work()))
    await started.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert finished.is_set()
