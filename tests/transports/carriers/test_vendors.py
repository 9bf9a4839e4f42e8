"""From settings to a carrier, and what is said where they do not suffice."""

from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from nur_server.clock import SystemClock
from nur_server.errors import InvalidRequest
from nur_server.settings import Settings
from nur_server.transports.carriers.carrier import Carrier
from nur_server.transports.carriers.vendors import carrier_client, configured_carrier

URL = "https://voice.example.com"
ACCOUNT = {"carrier_account": "AC1", "carrier_token": "secret"}


def configured(**values: Any) -> Carrier | None:
    settings = Settings(_env_file=None, **values)
    return configured_carrier(settings, httpx2.AsyncClient(trust_env=False), SystemClock())


def test_without_a_name_there_is_no_carrier() -> None:
    assert configured() is None


@pytest.mark.parametrize("name", ["twilio", "plivo"])
def test_an_account_and_its_token_are_enough(name: str) -> None:
    carrier = configured(carrier=name, public_url=URL, **ACCOUNT)
    assert carrier is not None
    assert carrier.name == name


def test_carriers_with_public_keys() -> None:
    pytest.importorskip("cryptography", reason="Telnyx and Vonage need the package cryptography")
    from tests.transports.carriers.fake_telnyx import PUBLIC_KEY
    from tests.transports.carriers.fake_vonage import PEM

    common = {"public_url": URL, **ACCOUNT}
    telnyx = configured(carrier="telnyx", carrier_public_key=PUBLIC_KEY, **common)
    vonage = configured(carrier="vonage", carrier_private_key=PEM, **common)
    assert [carrier.name for carrier in (telnyx, vonage) if carrier] == ["telnyx", "vonage"]
    with pytest.raises(InvalidRequest, match="NUR_CARRIER_PUBLIC_KEY"):
        configured(carrier="telnyx", carrier_public_key="c2hvcnQ=", **common)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"public_url": None, **ACCOUNT}, "NUR_PUBLIC_URL"),
        ({"public_url": "http://voice.example.com", **ACCOUNT}, "NUR_PUBLIC_URL"),
        ({"public_url": URL, "carrier_token": "t"}, "NUR_CARRIER_ACCOUNT"),
        ({"public_url": URL, "carrier_account": "a"}, "NUR_CARRIER_TOKEN"),
    ],
)
def test_a_missing_setting_is_named(values: dict[str, Any], missing: str) -> None:
    with pytest.raises(InvalidRequest, match=missing) as caught:
        configured(carrier="twilio", **values)
    assert caught.value.code == "carrier_misconfigured"
    assert "secret" not in caught.value.message


def test_an_unknown_carrier_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="expected one of twilio, telnyx, plivo, vonage"):
        configured(carrier="acme")


async def test_the_client_follows_no_redirects() -> None:
    async with carrier_client() as client:
        assert not client.follow_redirects
