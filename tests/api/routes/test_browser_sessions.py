"""Browsers that sign in: cookies, links that work once, and what keeps other pages out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from nur_server.api.browser_sessions import COOKIE, CSRF_HEADER
from nur_server.clock import Clock
from tests.api.conftest import AGENT, Server, Start

OWN, FOREIGN = "http://nur.test", "https://evil.example"


@pytest.fixture
async def browser(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser on a page of the server: no key, and a jar of cookies."""
    transport = httpx2.ASGITransport(app=server.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url=OWN, headers={"Origin": OWN}
    ) as client:
        yield client


async def sign_in(browser: httpx2.AsyncClient, **given: str) -> dict[str, Any]:
    """Sign in, and repeat the CSRF token from then on."""
    answer = await browser.post("/v1/browser-session", json=given)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    browser.headers[CSRF_HEADER] = body["csrf_token"]
    return body


def secret_of(link: dict[str, Any]) -> str:
    """What stands behind `#`, without the place that the link leads to."""
    fragment: str = link["url"].partition("#")[2]
    return fragment.partition("~")[0]


# Signing in and out


async def test_a_key_signs_in_and_the_cookie_acts_for_it(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    answer = await browser.post("/v1/browser-session", json={"key": server.key})
    set_cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {
        part.strip() for part in set_cookie.split(";")
    }
    assert "secure" not in set_cookie
    assert server.key not in answer.text
    assert (await browser.get("/v1/agents")).status_code == 200


async def test_over_https_the_cookie_is_sent_over_https_alone(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    browser.headers |= {"X-Forwarded-Proto": "https", "Origin": "https://nur.test"}
    answer = await browser.post("/v1/browser-session", json={"key": server.key})
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "given",
    [{}, {"key": "nur_wrong"}, {"link": "lnk_wrong"}, {"link": ""}, {"key": "k", "link": "l"}],
)
async def test_nothing_else_signs_in(browser: httpx2.AsyncClient, given: dict[str, str]) -> None:
    answer = await browser.post("/v1/browser-session", json=given)
    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers


async def test_a_link_signs_in_once_and_names_no_key(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    link = await server.call("POST", "/v1/sign-in-links", 201, json={"next": "/try/agt_1"})
    assert link["url"].startswith("http://nur.test/sign-in#lnk_")
    assert link["url"].endswith("~/try/agt_1")
    assert server.key not in link["url"]
    await sign_in(browser, link=secret_of(link))
    again = await browser.post("/v1/browser-session", json={"link": secret_of(link)})
    assert (again.status_code, again.json()["error"]["code"]) == (401, "link_expired")


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/a\\b", "agents", "/a b"]
)
async def test_a_link_leads_to_this_server_alone(server: Server, place: str) -> None:
    await server.refuse("POST", "/v1/sign-in-links", 422, json={"next": place})


async def test_a_browser_that_signs_out_leaves_a_useless_cookie(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, key=server.key)
    kept = browser.cookies[COOKIE]
    assert (await browser.delete("/v1/browser-session")).status_code == 200
    answer = await browser.get("/v1/agents", headers={"Cookie": f"{COOKIE}={kept}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signed_out")


async def test_signing_in_again_ends_the_sign_in_before(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    await sign_in(browser, key=server.key)
    kept = browser.cookies[COOKIE]
    await sign_in(browser, key=server.key)
    assert browser.cookies[COOKIE] != kept
    browser.cookies.clear()
    answer = await browser.get("/v1/agents", headers={"Cookie": f"{COOKIE}={kept}"})
    assert answer.status_code == 401


# What a signed-in browser may do


async def test_it_may_do_what_the_key_may(server: Server, browser: httpx2.AsyncClient) -> None:
    made = await server.call(
        "POST", "/v1/api-keys", 201, json={"name": "watcher", "scopes": ["agents:read"]}
    )
    who = await sign_in(browser, key=made["key"])
    assert (who["scopes"], who["key_name"]) == (["agents:read"], "watcher")
    assert (await browser.get("/v1/agents")).status_code == 200
    refused = await browser.post("/v1/agents", json=AGENT)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")


async def test_it_ends_with_the_key(server: Server, browser: httpx2.AsyncClient) -> None:
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "short"})
    await sign_in(browser, key=made["key"])
    await server.call("DELETE", f"/v1/api-keys/{made['id']}")
    assert (await browser.get("/v1/agents")).status_code == 401


class Later(Clock):
    """The time of a clock, put forward."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by = timedelta()

    def now(self) -> Any:
        return self._clock.now() + self.by

    def monotonic(self) -> float:
        return self._clock.monotonic()


async def test_links_and_cookies_expire(start: Start) -> None:
    from nur_server.clock import SystemClock

    clock = Later(SystemClock())
    async with start(clock=clock) as server:
        transport = httpx2.ASGITransport(app=server.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=OWN) as browser:
            link = await server.call("POST", "/v1/sign-in-links", 201)
            clock.by = timedelta(minutes=11)
            late = await browser.post("/v1/browser-session", json={"link": secret_of(link)})
            assert late.status_code == 401
            await sign_in(browser, key=server.key)
            clock.by += timedelta(hours=13)
            assert (await browser.get("/v1/agents")).status_code == 401


# What other pages cannot do


@pytest.mark.parametrize(
    "headers",
    [
        {CSRF_HEADER: ""},
        {CSRF_HEADER: "0" * 64},
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_page_changes_nothing(
    server: Server, browser: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    await sign_in(browser, key=server.key)
    refused = await browser.post("/v1/agents", json=AGENT, headers=headers)
    assert refused.status_code == 403
    assert (await server.call("GET", "/v1/agents"))["total"] == 0


@pytest.mark.parametrize(
    "headers", [{"Origin": FOREIGN}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
async def test_another_page_reads_nothing_and_signs_nobody_in(
    server: Server, browser: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    given = {"key": server.key}
    refused = await browser.post("/v1/browser-session", json=given, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "foreign_page")
    await sign_in(browser, **given)
    assert (await browser.get("/v1/agents", headers=headers)).status_code == 403


async def test_the_token_of_one_browser_is_of_no_use_to_another(
    server: Server, browser: httpx2.AsyncClient
) -> None:
    first = await sign_in(browser, key=server.key)
    second = await sign_in(browser, key=server.key)
    assert first["csrf_token"] != second["csrf_token"]
    headers = {CSRF_HEADER: first["csrf_token"]}
    assert (await browser.post("/v1/agents", json=AGENT, headers=headers)).status_code == 403


async def test_with_a_key_nothing_is_asked_of_a_page(server: Server) -> None:
    await server.call("POST", "/v1/agents", 201, json=AGENT, headers={"Origin": FOREIGN})
    who = await server.call("GET", "/v1/browser-session")
    assert (who["csrf_token"], who["key_name"]) == (None, "first key")


async def test_guessing_is_slowed_down(start: Start) -> None:
    async with start(rate_limits={"sign-in": "3/minute"}) as server:
        for _ in range(3):
            await server.refuse("POST", "/v1/browser-session", 401, json={"key": "nur_wrong"})
        await server.refuse("POST", "/v1/browser-session", 429, json={"key": "nur_wrong"})
