"""The carrier the settings name."""

from typing import assert_never

import httpx2

from nur_server import tls
from nur_server.clock import Clock
from nur_server.errors import InvalidRequest
from nur_server.settings import CarrierName, Settings
from nur_server.transports.carriers.carrier import Carrier

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0


def carrier_client() -> httpx2.AsyncClient:
    """The client for a carrier's REST interface, to be closed by who made it."""
    return httpx2.AsyncClient(
        verify=tls.trusted(),
        timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


def configured_carrier(
    settings: Settings, client: httpx2.AsyncClient, clock: Clock
) -> Carrier | None:
    """None where no carrier is named.

    Raises `InvalidRequest` (`carrier_misconfigured`) that says which setting is missing or wrong.
    """
    name = settings.carrier
    if name is None:
        return None
    public_url = settings.public_url
    if public_url is None or public_url.scheme != "https":
        raise _misconfigured("NUR_PUBLIC_URL", "an https address the carrier can reach")
    try:
        return _made(name, settings, client, clock)
    except ImportError as error:
        raise _misconfigured(
            "NUR_CARRIER", f"the package {error.name!r} to be installed for {name}"
        ) from error
    except ValueError as error:
        raise _misconfigured("NUR_CARRIER_PUBLIC_KEY or _PRIVATE_KEY", "a key") from error


def _made(
    name: CarrierName, settings: Settings, client: httpx2.AsyncClient, clock: Clock
) -> Carrier:
    account = _needed(settings.carrier_account, "NUR_CARRIER_ACCOUNT")
    secret = settings.carrier_token
    token = _needed(secret.get_secret_value() if secret else None, "NUR_CARRIER_TOKEN")
    own = settings.carrier_api_url
    # Telnyx and Vonage need a package for their public keys that the others do without.
    match name:
        case "twilio":
            from nur_server.transports.carriers import twilio

            return twilio.Twilio(client, account, token, str(own or twilio.API_URL))
        case "plivo":
            from nur_server.transports.carriers import plivo

            return plivo.Plivo(client, account, token, str(own or plivo.API_URL))
        case "telnyx":
            from nur_server.transports.carriers import telnyx

            key = _needed(settings.carrier_public_key, "NUR_CARRIER_PUBLIC_KEY")
            return telnyx.Telnyx(client, account, token, key, clock, str(own or telnyx.API_URL))
        case "vonage":
            from nur_server.transports.carriers import vonage

            pem = settings.carrier_private_key
            private = _needed(pem.get_secret_value() if pem else None, "NUR_CARRIER_PRIVATE_KEY")
            url = str(own or vonage.API_URL)
            return vonage.Vonage(client, account, private, token, clock, url)
        case _:
            assert_never(name)


def _needed(value: str | None, name: str) -> str:
    if not value:
        raise _misconfigured(name, "a value: NUR_CARRIER needs it")
    return value


def _misconfigured(name: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: expected {expected}", code="carrier_misconfigured", param=name)
