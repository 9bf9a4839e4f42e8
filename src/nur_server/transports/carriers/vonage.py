"""Vonage: Voice API over REST and call control objects, WebSocket endpoints for the audio.

Documented at developer.vonage.com/voice/voice-api: "Create call", "WebSockets", "Webhook
reference", "Signed webhooks". Reports must be sent by POST, and be signed.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import jwt
import numpy as np
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nur_server.clock import Clock
from nur_server.errors import ProviderGarbled, ProviderRejected
from nur_server.ids import new_id
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers import frames
from nur_server.transports.carriers.carrier import (
    Audio,
    Ended,
    Offered,
    Order,
    Played,
    Pressed,
    Rang,
    Reply,
    Report,
    StreamEvent,
    Webhook,
    WireMessage,
    field_of,
    with_plus,
)
from nur_server.transports.carriers.rest import CarrierApi, Repeat
from nur_server.transports.carriers.signatures import bearer, forged

NAME = "vonage"
API_URL = "https://api.nexmo.com"
RATE = 16_000
JWT_SECONDS = 60
TOLERANCE_SECONDS = 300
"""Age of a report at most."""

_ENDS: Mapping[str, HangupCause] = {
    "completed": HangupCause.NORMAL,
    "busy": HangupCause.BUSY,
    "timeout": HangupCause.NO_ANSWER,
    "unanswered": HangupCause.NO_ANSWER,
    "cancelled": HangupCause.CANCELED,
    "rejected": HangupCause.REJECTED,
    "failed": HangupCause.CARRIER_ERROR,
}
_INVALID_NUMBERS = frozenset({"unallocated_number", "invalid_number", "not_found"})
"""`detail` of a failed call."""


class Vonage:
    """Implements `Carrier`."""

    name = NAME

    def __init__(
        self,
        client: httpx2.AsyncClient,
        application_id: str,
        private_key: str,
        signature_secret: str,
        clock: Clock,
        api_url: str = API_URL,
    ) -> None:
        """`private_key`: the application's, in PEM. Raises `ValueError` for another."""
        key = load_pem_private_key(private_key.encode(), None)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("expected the application's RSA key, got a key of another kind")
        self._private_key = key
        self._application_id = application_id
        self._signature_secret = signature_secret
        self._clock = clock
        self._api = CarrierApi(client, NAME, api_url)

    def codec(self) -> "VonageCodec":
        return VonageCodec()

    async def dial(self, order: Order) -> str:
        request = order.request
        body = {
            "to": [_phone(request.to_number)],
            "from": _phone(request.from_number),
            "ncco": _connect(order.media_url),
            "event_url": [order.status_url],
            "event_method": "POST",
            "ringing_timer": max(1, min(120, round(request.ring_seconds))),
        }
        answer = await self._order("POST", "", Repeat.UNSENT, json=body)
        return frames.call_id(NAME, answer.get("uuid"))

    async def find(self, order: Order) -> Sequence[str]:
        since = order.placed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = await self._order("GET", "", Repeat.FREELY, query={"date_start": since})
        calls = answer.get("_embedded", {}).get("calls", ())
        number = order.request.to_number.removeprefix("+")
        return [
            str(call.get("uuid"))
            for call in calls
            if call.get("direction") == "outbound" and call.get("to", {}).get("number") == number
        ]

    async def hang_up(self, carrier_call_id: str) -> None:
        try:
            body = {"action": "hangup"}
            await self._order("PUT", f"/{carrier_call_id}", Repeat.FREELY, json=body)
        except ProviderRejected as error:
            if error.provider_status != 404:
                raise

    async def transfer(self, carrier_call_id: str, to_number: str, status_url: str) -> None:
        ncco = [{"action": "connect", "endpoint": [_phone(to_number)]}]
        body = {"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}}
        await self._order("PUT", f"/{carrier_call_id}", Repeat.UNSENT, json=body)

    async def keypad(self, carrier_call_id: str, digits: str) -> None:
        path = f"/{carrier_call_id}/dtmf"
        await self._order("PUT", path, Repeat.UNSENT, json={"digits": digits})

    async def accept(self, carrier_call_id: str, media_url: str) -> Reply:
        return Reply(orjson.dumps(_connect(media_url)), "application/json")

    async def reject(self, carrier_call_id: str) -> Reply:
        """No actions: Vonage ends a call that has nothing to do."""
        return Reply(b"[]", "application/json")

    def verify(self, webhook: Webhook) -> None:
        token = bearer(webhook.headers)
        try:
            claims = jwt.decode(
                token,
                self._signature_secret,
                algorithms=["HS256"],
                options={
                    "require": ["iat", "payload_hash"],
                    "verify_exp": False,  # judged below, by this server's clock
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                },
            )
            age = self._clock.now().timestamp() - float(claims["iat"])
            said = str(claims["payload_hash"]).encode()
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise forged(NAME, "authorization", token) from None
        digest = hashlib.sha256(webhook.body).hexdigest().encode()
        if abs(age) > TOLERANCE_SECONDS or not hmac.compare_digest(said, digest):
            raise forged(NAME, "authorization", token)

    def verify_stream(self, url: str, headers: Mapping[str, str]) -> None:
        """The token in the address is what lets streams in."""

    def read(self, webhook: Webhook) -> Report:
        fields = webhook.json
        uuid = field_of(fields, "uuid")
        if "status" not in fields:
            offered = Offered(
                with_plus(field_of(fields, "to")), with_plus(str(fields.get("from") or ""))
            )
            return Report(uuid, offered)
        if str(fields.get("to", "")).startswith(("ws:", "wss:")):
            return Report(uuid, None)  # of the stream, which is a leg of its own
        status = field_of(fields, "status")
        if status == "ringing":
            return Report(uuid, Rang())
        if status not in _ENDS:
            return Report(uuid, None)
        detail = str(fields.get("detail") or "")
        is_invalid = status == "failed" and detail in _INVALID_NUMBERS
        return Report(
            uuid, Ended(HangupCause.INVALID_NUMBER if is_invalid else _ENDS[status], detail)
        )

    async def _order(
        self, method: str, path: str, repeat: Repeat, **request: Any
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}"}
        return await self._api.order(
            method, f"/v1/calls{path}", repeat=repeat, headers=headers, **request
        )

    def _token(self) -> str:
        now = int(self._clock.now().timestamp())
        claims = {
            "application_id": self._application_id,
            "iat": now,
            "exp": now + JWT_SECONDS,
            "jti": new_id("jwt"),
        }
        return jwt.encode(claims, self._private_key, algorithm="RS256")


def _phone(number: str) -> dict[str, str]:
    return {"type": "phone", "number": number.removeprefix("+")}


def _connect(media_url: str) -> list[dict[str, Any]]:
    endpoint = {"type": "websocket", "uri": media_url, "content-type": f"audio/l16;rate={RATE}"}
    return [{"action": "connect", "endpoint": [endpoint]}]


class VonageCodec:
    """WebSocket endpoint: audio in binary frames, int16 at 16 kHz; everything else JSON."""

    sample_rate = RATE

    def read(self, frame: WireMessage) -> Sequence[StreamEvent]:
        if isinstance(frame, bytes):
            if len(frame) % 2:
                raise ProviderGarbled(
                    f"Expected whole samples of two bytes; got {len(frame)} bytes.", provider=NAME
                )
            return (Audio(np.frombuffer(frame, "<i2").astype(np.int16)),)
        match frames.parse(NAME, frame):
            case {"event": "websocket:dtmf", "digit": str(digit)}:
                return (Pressed(digit),)
            case {"event": "websocket:notify", "payload": {"mark": str(name)}}:
                return (Played(name),)
            case _:
                return ()

    def audio(self, samples: Samples) -> bytes:
        return samples.astype("<i2").tobytes()

    def clear(self) -> str:
        return '{"action":"clear"}'

    def mark(self, name: str) -> str:
        return orjson.dumps({"action": "notify", "payload": {"mark": name}}).decode()
