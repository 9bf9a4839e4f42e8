from typing import Any

import pytest
from starlette.requests import HTTPConnection

from nur_server.api.public_url import public_base, websocket_base
from nur_server.settings import Settings


def connection(
    *, peer: str | None = "127.0.0.1", scheme: str = "http", **headers: str
) -> HTTPConnection:
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": scheme,
        "path": "/v1/agents",
        "query_string": b"",
        "server": ("10.0.0.5", 8080),
        "client": (peer, 50_000) if peer else None,
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    return HTTPConnection(scope)


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def test_the_requests_own_host() -> None:
    assert public_base(connection(host="nur.example:8080"), settings()) == "http://nur.example:8080"
    assert websocket_base(connection(host="nur.example"), settings()) == "ws://nur.example"


def test_a_trusted_proxy_says_where_it_was_asked() -> None:
    asked = connection(
        host="10.0.0.5:8080",
        x_forwarded_proto="https",
        x_forwarded_host="voice.example",
        x_forwarded_prefix="/nur/",
    )
    assert public_base(asked, settings()) == "https://voice.example/nur"
    assert websocket_base(asked, settings()) == "wss://voice.example/nur"


@pytest.mark.parametrize(
    ("proto", "port", "base"),
    [
        ("https", "443", "https://voice.example"),
        ("https", "8443", "https://voice.example:8443"),
        ("http", "80", "http://voice.example"),
    ],
)
def test_the_proxys_port(proto: str, port: str, base: str) -> None:
    asked = connection(
        x_forwarded_proto=proto, x_forwarded_host="voice.example", x_forwarded_port=port
    )
    assert public_base(asked, settings()) == base


def test_a_stranger_is_not_believed() -> None:
    asked = connection(peer="203.0.113.9", host="nur.example", x_forwarded_host="evil.example")
    assert public_base(asked, settings()) == "http://nur.example"
    assert public_base(asked, settings(trusted_proxies="203.0.113.0/24")) == "http://evil.example"
    assert public_base(asked, settings(trusted_proxies="*")) == "http://evil.example"


@pytest.mark.parametrize("host", ["", "a b", "evil.example/path", 'x"><script>', "user@host"])
def test_what_is_no_host_is_not_used(host: str) -> None:
    assert public_base(connection(host=host), settings()) == "http://10.0.0.5:8080"


def test_the_setting_wins() -> None:
    asked = connection(host="10.0.0.5", x_forwarded_host="other.example")
    fixed = settings(public_url="https://voice.example/api/")
    assert public_base(asked, fixed) == "https://voice.example/api"
    assert websocket_base(asked, fixed) == "wss://voice.example/api"


def test_ipv6_hosts() -> None:
    assert public_base(connection(host="[::1]:8080"), settings()) == "http://[::1]:8080"
