"""Names that users have named: bounded for each account, remembered for seconds, and never in the
way of anybody else's."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest

from nur_server.clock import LoopClock, ManualClock
from nur_server.providers.names import (
    KEPT_SECONDS,
    LOOKUP_SECONDS,
    MAX_LOOKUPS,
    MAX_PER_ACCOUNT,
    CAres,
    UserNames,
    on_behalf_of,
)
from nur_server.providers.net import fetch, guarded_client


class Lookups:
    """What was asked; a name that begins with `dead` is never answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append(host)
        if host.startswith("dead"):
            await asyncio.Event().wait()
        if host.startswith("unknown"):
            raise OSError("Domain name not found")
        return ("203.0.113.7",)


async def refusal(names: UserNames, host: str, account: str = "") -> str:
    with on_behalf_of(account), pytest.raises(OSError) as failed:  # its text is what is tested
        await names(host, 443)
    return str(failed.value)


@pytest.mark.looptime
async def test_dead_names_of_one_account_keep_nobody_else_waiting() -> None:
    lookups = Lookups()
    names = UserNames(lookups, LoopClock())
    dead = [asyncio.create_task(refusal(names, f"dead{i}.example", "acc_1")) for i in range(12)]
    await asyncio.sleep(0)
    assert len(lookups.asked) == MAX_PER_ACCOUNT
    assert "too many" in await refusal(names, "fine.example", "acc_1")
    with on_behalf_of("acc_2"):
        assert await names("fine.example", 443) == ("203.0.113.7",)
    assert asyncio.get_running_loop().time() == 0
    told = await asyncio.gather(*dead)
    assert sum(f"in {LOOKUP_SECONDS:g} s" in text for text in told) == MAX_PER_ACCOUNT
    with on_behalf_of("acc_1"):
        assert await names("fine.example", 443)


@pytest.mark.looptime
async def test_many_accounts_together_have_a_bound_too() -> None:
    names = UserNames(Lookups(), LoopClock())
    dead = [
        asyncio.create_task(refusal(names, f"dead{i}.example", f"acc_{i}"))
        for i in range(MAX_LOOKUPS)
    ]
    await asyncio.sleep(0)
    assert "too many" in await refusal(names, "fine.example", "acc_new")
    await asyncio.gather(*dead)


@pytest.mark.parametrize("host", ["fine.example", "unknown.example"])
async def test_an_answer_is_remembered_for_seconds(host: str) -> None:
    lookups, clock = Lookups(), ManualClock()
    names = UserNames(lookups, clock)

    async def ask() -> None:
        try:
            await names(host, 443)
        except OSError as error:
            assert "not found" in str(error)

    for _ in range(3):
        await ask()
    assert lookups.asked == [host]
    clock.advance(KEPT_SECONDS)
    await ask()
    assert lookups.asked == [host, host]


@pytest.mark.looptime
async def test_a_dead_name_is_not_waited_for_again_at_once() -> None:
    lookups = Lookups()
    names = UserNames(lookups, LoopClock())
    for _ in range(3):
        assert "no answer" in await refusal(names, "dead.example", "acc_1")
    assert asyncio.get_running_loop().time() == LOOKUP_SECONDS
    assert lookups.asked == ["dead.example"]


# c-ares


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a name server that takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def cares(port: int) -> CAres:
    return CAres(servers=["127.0.0.1"], udp_port=port, tcp_port=port, timeout=60.0, tries=1)


async def test_look_ups_take_no_threads_and_end_with_the_server(silent_server: int) -> None:
    names = UserNames(cares=cares(silent_server))
    await names("localhost", 80)
    threads = threading.active_count()
    dead = [asyncio.create_task(refusal(names, f"dead{i}.example", f"acc_{i}")) for i in range(40)]
    await asyncio.sleep(0.05)
    assert threading.active_count() == threads
    loop = asyncio.get_running_loop()
    # The event loop's own look-ups, which the operator's servers take, are free.
    assert await loop.getaddrinfo("localhost", 80)
    await names.close()
    assert len(await asyncio.gather(*dead)) == 40
    assert "stopping" in await refusal(names, "another.example")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_what_the_hosts_file_and_numbers_say(host: str, silent_server: int) -> None:
    names = UserNames(cares=cares(silent_server))
    addresses = await names(host, 80)
    assert set(addresses) <= {"127.0.0.1", "::1"}
    await names.close()


@pytest.mark.parametrize(
    "host", ["a" * 300, "exa_mple..com", "[v1.x]", "①②⑦.⓪.⓪.①", "ex ample", "fe80::1%eth0"]
)
async def test_what_is_no_name_is_a_failed_look_up(host: str, silent_server: int) -> None:
    names = UserNames(cares=cares(silent_server))
    assert await refusal(names, host)
    await names.close()


async def test_a_client_gives_its_look_ups_up_when_it_is_closed() -> None:
    client = guarded_client(allow_private=True)
    await client.aclose()
    request = client.build_request("GET", "http://dead.example/")
    with pytest.raises((httpx2.ConnectError, RuntimeError)):
        await fetch(client, request, max_bytes=10, total_seconds=5)
