"""What the carriers' JSON streams have in common."""

import base64
import binascii
from typing import Any

import orjson

from nur_server.errors import ProviderGarbled
from nur_server.transports.carriers.carrier import WireMessage


def parse(carrier: str, frame: WireMessage) -> dict[str, Any]:
    """A frame's JSON object. Raises `ProviderGarbled`."""
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise ProviderGarbled(
            f"Expected a JSON object on {carrier}'s stream; got {len(frame)} bytes of something "
            "else.",
            provider=carrier,
        )
    return message


def unpack(carrier: str, payload: str) -> bytes:
    """The bytes of a base64 payload. Raises `ProviderGarbled`."""
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        raise ProviderGarbled(
            f"Expected audio in base64 on {carrier}'s stream; got something else.",
            provider=carrier,
        ) from None


def pack(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def call_id(carrier: str, value: object) -> str:
    """The id a carrier has given a call. Raises `ProviderGarbled` where it has given none."""
    if isinstance(value, str) and value:
        return value
    raise ProviderGarbled(
        f"Expected {carrier} to give the call an id; it gave {type(value).__name__}.",
        provider=carrier,
        code="carrier_outcome_unknown",
    )
