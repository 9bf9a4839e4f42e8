"""Virtual time."""

import asyncio

import pytest

from nur_server.testing import virtual_time


async def test_time_starts_at_zero_and_jumps_to_the_next_timer() -> None:
    with virtual_time():
        loop = asyncio.get_running_loop()
        assert loop.time() == 0.0
        await asyncio.sleep(3600)
        assert loop.time() == pytest.approx(3600)


async def test_timers_ring_in_order() -> None:
    rung: list[float] = []

    async def ring(after: float) -> None:
        await asyncio.sleep(after)
        rung.append(after)

    with virtual_time():
        await asyncio.gather(*(ring(after) for after in (3.0, 1.0, 2.0, 0.0)))
    assert rung == [0.0, 1.0, 2.0, 3.0]


async def test_a_time_out_is_reached() -> None:
    with virtual_time():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.Event().wait()
        assert asyncio.get_running_loop().time() == pytest.approx(600)


async def test_afterwards_the_loop_keeps_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    with virtual_time(), virtual_time():
        await asyncio.sleep(10**6)
    assert before <= loop.time() < before + 10**6


async def test_what_is_ready_comes_before_time_passes() -> None:
    with virtual_time():
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_unix_connection(sock=_echoing(loop))
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        assert loop.time() == 0.0
        writer.close()
        await writer.wait_closed()


def _echoing(loop: asyncio.AbstractEventLoop):
    import socket

    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.setblocking(False)

    def echo() -> None:
        data = theirs.recv(100)
        if data:
            theirs.send(data)
        else:
            loop.remove_reader(theirs)
            theirs.close()

    loop.add_reader(theirs, echo)
    return ours
