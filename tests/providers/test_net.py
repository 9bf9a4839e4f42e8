"""Addresses users have named never lead into private networks."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from servers import Exchange, running

from nur_server.errors import InvalidRequest, PayloadTooLarge
from nur_server.providers.net import Resolver, check_url, fetch, guarded_client


def resolves_to(*answers: tuple[str, ...]) -> tuple[Resolver, list[str]]:
    """A resolver that gives each answer once, the last one for ever; and what it was asked."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolver, asked


async def get(client: httpx2.AsyncClient, url: str, max_bytes: int = 1000) -> tuple[int, str]:
    request = client.build_request("GET", url)
    fetched = await fetch(client, request, max_bytes=max_bytes, total_seconds=5)
    return fetched.status, fetched.text


async def hello(exchange: Exchange) -> None:
    await exchange.answer("hello", kind="text/plain")


@pytest.fixture
async def open_client() -> AsyncIterator[httpx2.AsyncClient]:
    async with guarded_client(allow_private=True) as client:
        yield client


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:db8::1",
        "::ffff:0:127.0.0.1",
        "3fff::1",
        "5f00::1",
        "192.0.0.8",
        "192.88.99.1",
        "not an address",
    ],
)
async def test_a_name_with_a_private_address_is_refused(address: str) -> None:
    resolver, _ = resolves_to((address,))
    async with guarded_client(allow_private=False, resolver=resolver) as client:
        with pytest.raises(InvalidRequest) as caught:
            await get(client, "http://innocent.example/")
    assert caught.value.code == "private_address"
    assert "NUR_ALLOW_PRIVATE_URLS" in caught.value.message


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    resolver, _ = resolves_to(("93.184.216.34", "10.0.0.1"))
    async with guarded_client(allow_private=False, resolver=resolver) as client:
        with pytest.raises(InvalidRequest):
            await get(client, "http://mixed.example/")


async def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    """The name is resolved once; what it would resolve to next is never looked at."""
    async with running(hello) as server:
        resolver, asked = resolves_to(("127.0.0.1",), ("203.0.113.1",))
        async with guarded_client(allow_private=True, resolver=resolver) as client:
            assert await get(client, f"http://pinned.example:{server.port}/") == (200, "hello")
    assert asked == ["pinned.example"]
    assert server.asked[0].headers["host"] == f"pinned.example:{server.port}"


async def test_every_request_is_judged_anew() -> None:
    resolver, _ = resolves_to(("127.0.0.1",))
    async with (
        running(hello) as server,
        guarded_client(allow_private=False, resolver=resolver) as client,
    ):
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                await get(client, f"http://again.example:{server.port}/")
    assert server.asked == []


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with running(hello) as server:
        resolver, _ = resolves_to(("127.0.0.2", "127.0.0.1"))
        async with guarded_client(allow_private=True, resolver=resolver) as client:
            assert await get(client, f"http://two.example:{server.port}/") == (200, "hello")


async def test_an_unknown_name_is_a_connection_that_failed() -> None:
    async def resolver(host: str, port: int) -> tuple[str, ...]:
        raise OSError("Name or service not known")

    async with guarded_client(allow_private=False, resolver=resolver) as client:
        with pytest.raises(httpx2.ConnectError, match="cannot be resolved"):
            await get(client, "http://nowhere.example/")


async def test_a_redirect_is_handed_back(open_client: httpx2.AsyncClient) -> None:
    async def redirects(exchange: Exchange) -> None:
        await exchange.answer("", status=307, Location="http://169.254.169.254/")

    async with running(redirects) as server:
        assert await get(open_client, server.url) == (307, "")


async def test_a_response_too_large_is_refused(open_client: httpx2.AsyncClient) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head()
        while True:
            await exchange.piece(b"x" * 1000)

    async with running(endless) as server:
        with pytest.raises(PayloadTooLarge):
            await get(open_client, server.url, max_bytes=64_000)


async def test_a_response_of_just_the_bound_is_taken(open_client: httpx2.AsyncClient) -> None:
    async with running(hello) as server:
        assert await get(open_client, server.url, max_bytes=5) == (200, "hello")
        with pytest.raises(PayloadTooLarge):
            await get(open_client, server.url, max_bytes=4)


async def test_a_response_that_never_ends_times_out(open_client: httpx2.AsyncClient) -> None:
    async with running(Exchange.hang) as server:
        request = open_client.build_request("GET", server.url)
        with pytest.raises(TimeoutError):
            await fetch(open_client, request, max_bytes=10, total_seconds=0.05)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/", "invalid_url"),
        ("file:///etc/passwd", "invalid_url"),
        ("//example.com", "invalid_url"),
        ("http://", "invalid_url"),
        ("http://[::1", "invalid_url"),
        ("http://example.com:99999/", "invalid_url"),
        ("http://user:pw@example.com/", "invalid_url"),
        ("https://user@example.com/", "invalid_url"),
        ("https://@example.com/", "invalid_url"),
        ("https://①②⑦.⓪.⓪.①/", "invalid_url"),
        ("https://" + "a" * 64 + ".com/", "invalid_url"),
        ("https://" + "a" * 300 + ".com/", "invalid_url"),
        ("https://" + ".".join(["abcdefghi"] * 26) + "/", "invalid_url"),
        ("https://[v1.x]/", "invalid_url"),
        ("https://[fe80::1%25eth0]/", "private_address"),
        ("https://exa_mple..com/", "invalid_url"),
        ("https://.example.com/", "invalid_url"),
        ("https://example.com../", "invalid_url"),
        ("https://example.com:0/", "invalid_url"),
        ("https://example.com:-1/", "invalid_url"),
        ("https://example.com:http/", "invalid_url"),
        ("https://exa mple.com/", "invalid_url"),
        ("https://exa\tmple.com/", "invalid_url"),
        ("https://exa\u200bmple.com/", "invalid_url"),
        ("https://\ud800.com/", "invalid_url"),
        ("https://%65xample.com/", "invalid_url"),
        ("https://a\\b.com/", "invalid_url"),
        ("https://*.example.com/", "invalid_url"),
        ("https://{host}/", "invalid_url"),
        ("https://2130706433/", "invalid_url"),
        ("https://0x7f000001/", "invalid_url"),
        ("https://127.1/", "invalid_url"),
        ("https://1.2.3.4.5/", "invalid_url"),
        ("https://256.1.1.1/", "invalid_url"),
        ("https://localhost./", "private_address"),
        ("http://localhost:8080/", "private_address"),
        ("http://127.0.0.1/", "private_address"),
        ("http://[::ffff:10.0.0.1]/", "private_address"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
    ],
)
def test_an_address_that_can_never_be_fetched_is_refused_when_named(url: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_url(url, allow_private=False, param="tool_url")
    assert (caught.value.code, caught.value.param) == (code, "tool_url")


def test_ordinary_addresses_pass() -> None:
    check_url("https://example.com/hook?x=1", allow_private=False)
    check_url("http://8.8.8.8:8000/", allow_private=False)
    check_url("http://127.0.0.1:8000/", allow_private=True)
    check_url("http://my_service:8000/", allow_private=True)
    check_url("http://[::1]:65535/", allow_private=True)
    check_url("https://münchen.example./?q=1#x", allow_private=False)
    check_url("https://日本.example:443/", allow_private=False)
    check_url("https://" + "a" * 63 + ".example/", allow_private=False)
    check_url("https://1password.example/", allow_private=False)
