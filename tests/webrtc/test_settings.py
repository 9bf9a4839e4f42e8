"""What the settings make of the addresses that an answer offers, and settings that are wrong."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from nur_server.api.media import media_settings
from nur_server.settings import Settings
from nur_server.transports.webrtc.media import IceServer
from tests.api_realtime.conftest import Serve
from tests.webrtc.browser import browser
from tests.webrtc.relay import without_candidates


async def offered(serve: Serve, **settings: Any) -> list[tuple[str, str, int]]:
    """The candidates of an answer: protocol, address and port.

    The offer has none: where UDP reaches its sender at once, TCP is not looked for.
    """
    async with serve(**settings) as server, browser() as far:
        path = await server.make_session(await server.make_agent())
        _, _, _, session_id, secret = path.split("/")
        answer = await server.http.post(
            f"/v1/sessions/{session_id}/sdp",
            content=without_candidates(await far.offer()),
            headers={"Authorization": f"Bearer {secret}"},
        )
        found = re.findall(r"a=candidate:\S+ 1 (\w+) \d+ (\S+) (\d+) typ host", answer.text)
        return [(protocol, address, int(port)) for protocol, address, port in found]


async def test_ports_stay_in_their_range(serve: Serve) -> None:
    found = await offered(serve, webrtc_ports="42100-42120")
    assert {protocol for protocol, _, _ in found} == {"udp", "tcp"}
    assert all(42100 <= port <= 42120 for _, _, port in found)


async def test_the_public_address_stands_in_place_of_this_machine_s(serve: Serve) -> None:
    found = await offered(serve, webrtc_public_ip="203.0.113.7", webrtc_tcp=False)
    assert found
    assert {(protocol, address) for protocol, address, _ in found} == {("udp", "203.0.113.7")}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("stun:stun.example.com:3478", [IceServer(("stun:stun.example.com:3478",))]),
        ("stun:a.example, turn:b.example", [IceServer(("stun:a.example",)),
                                            IceServer(("turn:b.example",))]),
        ('{"urls": "turn:a.example", "username": "u", "credential": "p"}',
         [IceServer(("turn:a.example",), "u", "p")]),
        ('[{"urls": ["stun:a.example", "turns:b.example"]}]',
         [IceServer(("stun:a.example", "turns:b.example"))]),
        ("", []),
    ],
)  # fmt: skip
def test_servers_for_both_ends(written: str, read: list[IceServer]) -> None:
    settings = Settings(_env_file=None, webrtc_ice_servers=written)
    assert list(media_settings(settings).ice_servers) == read


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("webrtc_ports", "40000", "two ports"),
        ("webrtc_ports", "40100-40000", "two ports"),
        ("webrtc_ports", "80-90", "two ports"),
        ("webrtc_ports", "40000-70000", "two ports"),
        ("webrtc_public_ip", "voice.example.com", "not a name"),
        ("webrtc_public_ip", "300.1.1.1", "not a name"),
        ("webrtc_ice_servers", "https://a.example", "stun:"),
        ("webrtc_ice_servers", '[{"urls": "turn:a.example", "password": "x"}]', "password"),
        ("webrtc_ice_servers", '[{"urls": "turn:', "no JSON"),
    ],
)
def test_a_wrong_setting_says_what_was_expected(name: str, value: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(_env_file=None, **{name: value})
