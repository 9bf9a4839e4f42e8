"""Telnyx: Call Control over REST, Media Streaming over a WebSocket.

Documented at developers.telnyx.com: "Dial", "Call Control commands", "Media streaming", "Webhook
signing". Telnyx reports no ringing of its own: that the call was initiated stands for it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nur_server.audio import g711
from nur_server.clock import Clock
from nur_server.errors import BadRequest, ProviderGarbled, ProviderRejected
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
    Stopped,
    StreamEvent,
    Webhook,
    WireMessage,
    field_of,
)
from nur_server.transports.carriers.rest import INVALID_NUMBER, CarrierApi, Repeat
from nur_server.transports.carriers.signatures import forged

NAME = "telnyx"
API_URL = "https://api.telnyx.com"
SIGNATURE, TIMESTAMP = "telnyx-signature-ed25519", "telnyx-timestamp"
TOLERANCE_SECONDS = 300
"""Age of a report at most: an old one is somebody's recording of it."""
MAX_MISSING = 3
"""Chunks that may overtake a missing one before it is given up."""

_CAUSES: Mapping[str, HangupCause] = {
    "normal_clearing": HangupCause.NORMAL,
    "time_limit": HangupCause.NORMAL,
    "originator_cancel": HangupCause.CANCELED,
    "user_busy": HangupCause.BUSY,
    "timeout": HangupCause.NO_ANSWER,
    "no_answer": HangupCause.NO_ANSWER,
    "call_rejected": HangupCause.REJECTED,
    "not_found": HangupCause.INVALID_NUMBER,
    "unallocated_number": HangupCause.INVALID_NUMBER,
    "invalid_number_format": HangupCause.INVALID_NUMBER,
}
_OVER = "90018"
"""Error code for a call that has ended already."""
_INVALID_NUMBERS = frozenset({"10016", "90043"})
_STREAM: Mapping[str, Any] = {
    "stream_track": "inbound_track",
    "stream_codec": "PCMU",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
    "stream_bidirectional_sampling_rate": 8000,
}


class Telnyx:
    """Implements `Carrier`."""

    name = NAME

    def __init__(
        self,
        client: httpx2.AsyncClient,
        connection_id: str,
        api_key: str,
        public_key: str,
        clock: Clock,
        api_url: str = API_URL,
    ) -> None:
        """`public_key`: base64, as the portal shows it. Raises `ValueError` for another."""
        self._connection_id = connection_id
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        self._clock = clock
        self._api = CarrierApi(client, NAME, api_url)

    def codec(self) -> "TelnyxCodec":
        return TelnyxCodec()

    async def dial(self, order: Order) -> str:
        request = order.request
        body = {
            "connection_id": self._connection_id,
            "to": request.to_number,
            "from": request.from_number,
            "timeout_secs": round(request.ring_seconds),
            "webhook_url": order.status_url,
            "client_state": _state(order),
            "stream_url": order.media_url,
            **_STREAM,
        }
        try:
            answer = await self._order("POST", "/v2/calls", Repeat.UNSENT, body)
        except ProviderRejected as error:
            if error.details["carrier_code"] in _INVALID_NUMBERS:
                error.code = INVALID_NUMBER
            raise
        data = answer.get("data")
        return frames.call_id(NAME, data.get("call_control_id") if isinstance(data, dict) else None)

    async def find(self, order: Order) -> Sequence[str]:
        path = f"/v2/connections/{self._connection_id}/active_calls"
        answer = await self._order("GET", path, Repeat.FREELY)
        state = _state(order)
        return [
            str(call.get("call_control_id"))
            for call in answer.get("data", ())
            if call.get("client_state") == state
        ]

    async def hang_up(self, carrier_call_id: str) -> None:
        try:
            await self._act(carrier_call_id, "hangup", Repeat.FREELY)
        except ProviderRejected as error:
            if error.provider_status != 404 and error.details["carrier_code"] != _OVER:
                raise

    async def transfer(self, carrier_call_id: str, to_number: str, status_url: str) -> None:
        await self._act(carrier_call_id, "transfer", Repeat.UNSENT, to=to_number)

    async def keypad(self, carrier_call_id: str, digits: str) -> None:
        await self._act(carrier_call_id, "send_dtmf", Repeat.UNSENT, digits=digits)

    async def accept(self, carrier_call_id: str, media_url: str) -> Reply:
        await self._act(carrier_call_id, "answer", Repeat.UNSENT, stream_url=media_url, **_STREAM)
        return Reply()

    async def reject(self, carrier_call_id: str) -> Reply:
        await self._act(carrier_call_id, "reject", Repeat.UNSENT, cause="CALL_REJECTED")
        return Reply()

    def verify(self, webhook: Webhook) -> None:
        given = webhook.headers.get(SIGNATURE)
        timestamp = webhook.headers.get(TIMESTAMP, "")
        try:
            signed = timestamp.encode() + b"|" + webhook.body
            self._public_key.verify(base64.b64decode(given or "", validate=True), signed)
            age = self._clock.now().timestamp() - int(timestamp)
        except (InvalidSignature, binascii.Error, ValueError):
            raise forged(NAME, SIGNATURE, given) from None
        if abs(age) > TOLERANCE_SECONDS:
            raise forged(NAME, TIMESTAMP, timestamp)

    def verify_stream(self, url: str, headers: Mapping[str, str]) -> None:
        """Telnyx signs no streams: the token in the address is what lets them in."""

    def read(self, webhook: Webhook) -> Report:
        data = webhook.json.get("data")
        payload = data.get("payload") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(payload, dict):
            raise BadRequest("data.payload: expected an object in the carrier's report, got none")
        control_id = field_of(payload, "call_control_id")
        match data.get("event_type"), payload.get("direction"):
            case "call.initiated", "incoming":
                offered = Offered(field_of(payload, "to"), str(payload.get("from") or ""))
                return Report(control_id, offered)
            case "call.initiated", _:
                return Report(control_id, Rang())
            case "call.hangup", _:
                said = str(payload.get("hangup_cause") or "")
                return Report(control_id, Ended(_CAUSES.get(said, HangupCause.CARRIER_ERROR), said))
            case _:
                return Report(control_id, None)

    async def _act(
        self, carrier_call_id: str, action: str, repeat: Repeat, **body: Any
    ) -> dict[str, Any]:
        path = f"/v2/calls/{carrier_call_id}/actions/{action}"
        return await self._order("POST", path, repeat, body)

    async def _order(
        self, method: str, path: str, repeat: Repeat, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return await self._api.order(method, path, repeat=repeat, headers=self._headers, json=body)


def _state(order: Order) -> str:
    """Our id, which Telnyx keeps with the call."""
    return base64.b64encode(order.request.call_id.encode()).decode()


class TelnyxCodec:
    """Media streaming: JSON, mu-law at 8 kHz in base64, in chunks that may come out of order."""

    sample_rate = 8000

    def __init__(self) -> None:
        self._next: int | None = None
        self._overtaking: dict[int, Samples] = {}

    def read(self, frame: WireMessage) -> Sequence[StreamEvent]:
        message = frames.parse(NAME, frame)
        match message:
            case {"event": "media", "media": {"payload": str(payload), **media}}:
                if media.get("track", "inbound") != "inbound":
                    return ()
                samples = g711.decode(frames.unpack(NAME, payload), "mulaw")
                return self._in_order(media.get("chunk"), samples)
            case {"event": "dtmf", "dtmf": {"digit": str(digit)}}:
                return (Pressed(digit),)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return (Played(name),)
            case {"event": "stop"}:
                return (Stopped(),)
            case {"event": "media" | "dtmf" | "mark"}:
                raise ProviderGarbled(
                    f"Expected Telnyx's documented fields; got {sorted(message)}", provider=NAME
                )
            case _:
                return ()

    def audio(self, samples: Samples) -> str:
        return _message("media", media={"payload": frames.pack(g711.encode(samples, "mulaw"))})

    def clear(self) -> str:
        return _message("clear")

    def mark(self, name: str) -> str:
        return _message("mark", mark={"name": name})

    def _in_order(self, chunk: object, samples: Samples) -> Sequence[Audio]:
        """What can be heard now. A chunk that comes after its turn is dropped."""
        try:
            number = int(str(chunk))
        except ValueError:
            return (Audio(samples),)
        if self._next is None:
            self._next = number
        if number >= self._next:
            self._overtaking[number] = samples
        if len(self._overtaking) > MAX_MISSING:
            self._next = min(self._overtaking)
        ready = []
        while self._next in self._overtaking:
            ready.append(Audio(self._overtaking.pop(self._next)))
            self._next += 1
        return ready


def _message(event: str, **body: Any) -> str:
    return orjson.dumps({"event": event, **body}).decode()
