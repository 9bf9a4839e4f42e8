"""Plivo: Voice API over REST and XML, Audio Streaming over a WebSocket.

Documented at plivo.com/docs: "Make a call", "Stream XML element", "Audio streaming", "Signature
validation". A call's stream is named in a document that Plivo asks for when the call is answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

import httpx2
import orjson

from nur_server.audio import g711
from nur_server.errors import ProviderGarbled, ProviderRejected
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers import frames, signatures
from nur_server.transports.carriers.carrier import (
    Asked,
    Audio,
    Ended,
    Offered,
    Order,
    Picked,
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
    with_plus,
)
from nur_server.transports.carriers.rest import CarrierApi, Repeat

NAME = "plivo"
API_URL = "https://api.plivo.com"
SIGNATURE, NONCE = "x-plivo-signature-v3", "x-plivo-signature-v3-nonce"
TRANSFER = "transfer_to"
"""In the query of the address that Plivo asks how to transfer a call."""

_ENDS: Mapping[str, HangupCause] = {
    "completed": HangupCause.NORMAL,
    "busy": HangupCause.BUSY,
    "no-answer": HangupCause.NO_ANSWER,
    "timeout": HangupCause.NO_ANSWER,
    "cancel": HangupCause.CANCELED,
}
_FAILURES: Mapping[str, HangupCause] = {
    "Rejected": HangupCause.REJECTED,
    "Invalid Destination Number": HangupCause.INVALID_NUMBER,
    "Unallocated Number": HangupCause.INVALID_NUMBER,
    "Destination Out Of Service": HangupCause.INVALID_NUMBER,
}
"""What a call with status `failed` failed of, by `HangupCauseName`."""


class Plivo:
    """Implements `Carrier`."""

    name = NAME

    def __init__(
        self, client: httpx2.AsyncClient, auth_id: str, auth_token: str, api_url: str = API_URL
    ) -> None:
        self._auth_token = auth_token
        self._api = CarrierApi(client, NAME, api_url, auth=(auth_id, auth_token))
        self._calls = f"/v1/Account/{auth_id}/Call/"

    def codec(self) -> "PlivoCodec":
        return PlivoCodec()

    async def dial(self, order: Order) -> str:
        request = order.request
        body = {
            "from": request.from_number,
            "to": request.to_number,
            "ring_timeout": round(request.ring_seconds),
            **{f"{event}_url": order.status_url for event in ("answer", "ring", "hangup")},
            **{f"{event}_method": "POST" for event in ("answer", "ring", "hangup")},
        }
        answer = await self._api.order("POST", self._calls, repeat=Repeat.UNSENT, json=body)
        return frames.call_id(NAME, answer.get("request_uuid"))

    async def find(self, order: Order) -> Sequence[str]:
        """Nothing: Plivo lists calls by their ids alone. Its first report tells instead."""
        return ()

    async def hang_up(self, carrier_call_id: str) -> None:
        path = f"{self._calls}{carrier_call_id}/"
        try:
            await self._api.order("DELETE", path, repeat=Repeat.FREELY)
        except ProviderRejected as error:
            if error.provider_status != 404:
                raise

    async def transfer(self, carrier_call_id: str, to_number: str, status_url: str) -> None:
        body = {
            "legs": "aleg",
            "aleg_url": f"{status_url}?{TRANSFER}={quote(to_number, safe='')}",
            "aleg_method": "POST",
        }
        path = f"{self._calls}{carrier_call_id}/"
        await self._api.order("POST", path, repeat=Repeat.UNSENT, json=body)

    async def keypad(self, carrier_call_id: str, digits: str) -> None:
        path = f"{self._calls}{carrier_call_id}/DTMF/"
        await self._api.order("POST", path, repeat=Repeat.UNSENT, json={"digits": digits})

    async def accept(self, carrier_call_id: str, media_url: str) -> Reply:
        return _document(
            '<Stream bidirectional="true" keepCallAlive="true" '
            f'contentType="audio/x-mulaw;rate=8000">{escape(media_url)}</Stream>'
        )

    async def reject(self, carrier_call_id: str) -> Reply:
        return _document('<Hangup reason="rejected"/>')

    def verify(self, webhook: Webhook) -> None:
        fields = webhook.form.items() if webhook.method == "POST" else ()
        nonce = webhook.headers.get(NONCE, "")
        expected = signatures.plivo_signature(
            self._auth_token, webhook.method, webhook.url, nonce, fields
        )
        # While an account's token is being changed, Plivo signs with both.
        signatures.check_any(NAME, SIGNATURE, webhook.headers.get(SIGNATURE), expected)

    def verify_stream(self, url: str, headers: Mapping[str, str]) -> None:
        """The token in the address is what lets streams in."""

    def read(self, webhook: Webhook) -> Report:
        fields = webhook.form
        uuid = field_of(fields, "CallUUID")
        target = parse_qs(urlsplit(webhook.url).query).get(TRANSFER)
        if target:
            return Report(
                uuid, Asked(_document(f"<Dial><Number>{escape(target[0])}</Number></Dial>"))
            )
        match fields.get("Event"):
            case "Ring":
                return Report(uuid, Rang())
            case "StartApp" if fields.get("Direction") == "inbound":
                offered = Offered(
                    with_plus(field_of(fields, "To")), with_plus(fields.get("From", ""))
                )
                return Report(uuid, offered)
            case "StartApp":
                return Report(uuid, Picked())
            case "Hangup":
                return Report(uuid, _end(fields))
            case _:
                return Report(uuid, None)


def _end(fields: Mapping[str, str]) -> Ended:
    name = fields.get("HangupCauseName", "")
    cause = _ENDS.get(fields.get("CallStatus", "")) or _FAILURES.get(name)
    return Ended(cause or HangupCause.CARRIER_ERROR, name)


def _document(element: str) -> Reply:
    return Reply(f"<Response>{element}</Response>".encode(), "text/xml")


class PlivoCodec:
    """Audio streaming: JSON, mu-law at 8 kHz in base64. Implements `Codec`."""

    sample_rate = 8000

    def __init__(self) -> None:
        self._stream_id = ""

    def read(self, frame: WireMessage) -> Sequence[StreamEvent]:
        message = frames.parse(NAME, frame)
        match message:
            case {"event": "media", "media": {"payload": str(payload)}}:
                return (Audio(g711.decode(frames.unpack(NAME, payload), "mulaw")),)
            case {"event": "start", "start": {"streamId": str(stream_id)}}:
                self._stream_id = stream_id
                return ()
            case {"event": "dtmf", "dtmf": {"digit": str(digit)}}:
                return (Pressed(digit),)
            case {"event": "playedStream", "name": str(name)}:
                return (Played(name),)
            case {"event": "stop"}:
                return (Stopped(),)
            case {"event": "media" | "start" | "dtmf" | "playedStream"}:
                raise ProviderGarbled(
                    f"Expected Plivo's documented fields; got {sorted(message)}", provider=NAME
                )
            case _:
                return ()

    def audio(self, samples: Samples) -> str:
        payload = frames.pack(g711.encode(samples, "mulaw"))
        media = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload}
        return orjson.dumps({"event": "playAudio", "media": media}).decode()

    def clear(self) -> str:
        return self._message("clearAudio")

    def mark(self, name: str) -> str:
        return self._message("checkpoint", name=name)

    def _message(self, event: str, **body: Any) -> str:
        return orjson.dumps({"event": event, "streamId": self._stream_id, **body}).decode()
