"""Twilio: Programmable Voice over REST, Media Streams over a WebSocket.

Documented at twilio.com/docs/voice/api/call-resource, .../voice/twiml/stream,
.../voice/media-streams/websocket-messages and .../usage/webhooks/webhooks-security.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import httpx2
import orjson

from nur_server.audio import g711
from nur_server.errors import ProviderGarbled, ProviderRejected
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers import frames, signatures
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

NAME = "twilio"
API_URL = "https://api.twilio.com"
SIGNATURE = "x-twilio-signature"
CLOCKS_APART = timedelta(seconds=5)
"""How far Twilio's clock may be from ours."""

_ENDS: Mapping[str, HangupCause] = {
    "completed": HangupCause.NORMAL,
    "busy": HangupCause.BUSY,
    "no-answer": HangupCause.NO_ANSWER,
    "canceled": HangupCause.CANCELED,
}
_SIP_CAUSES: Mapping[str, HangupCause] = {
    **dict.fromkeys(("404", "410", "484", "604"), HangupCause.INVALID_NUMBER),
    **dict.fromkeys(("403", "603", "607", "608"), HangupCause.REJECTED),
    **dict.fromkeys(("486", "600"), HangupCause.BUSY),
    **dict.fromkeys(("408", "480", "487"), HangupCause.NO_ANSWER),
}
"""What a call with status `failed` failed of, by the far end's SIP answer."""
_INVALID_NUMBERS = frozenset({"13223", "13224", "21211", "21217", "21401", "21421"})
"""Error codes for a number that cannot be called."""
_OVER = frozenset({"20404", "21220"})
"""Error codes for a call that is not there any more, or not in progress."""


class Twilio:
    """Implements `Carrier`."""

    name = NAME
    keypad = None
    """Media Streams have no message for keys."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        account_sid: str,
        auth_token: str,
        api_url: str = API_URL,
    ) -> None:
        self._auth_token = auth_token
        self._api = CarrierApi(client, NAME, api_url, auth=(account_sid, auth_token))
        self._calls = f"/2010-04-01/Accounts/{account_sid}/Calls"

    def codec(self) -> "TwilioCodec":
        return TwilioCodec()

    async def dial(self, order: Order) -> str:
        request = order.request
        form = {
            "To": request.to_number,
            "From": request.from_number,
            "Twiml": _connect(order.media_url),
            "StatusCallback": order.status_url,
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "Timeout": str(round(request.ring_seconds)),
        }
        try:
            answer = await self._api.order(
                "POST", f"{self._calls}.json", repeat=Repeat.UNSENT, form=form
            )
        except ProviderRejected as error:
            if error.details["carrier_code"] in _INVALID_NUMBERS:
                error.code = INVALID_NUMBER
            raise
        return frames.call_id(NAME, answer.get("sid"))

    async def find(self, order: Order) -> Sequence[str]:
        query = {
            "To": order.request.to_number,
            "From": order.request.from_number,
            "PageSize": "20",
        }
        answer = await self._api.order(
            "GET", f"{self._calls}.json", repeat=Repeat.FREELY, query=query
        )
        return [
            str(call.get("sid"))
            for call in answer.get("calls", ())
            if _may_be(call, order.placed_at)
        ]

    async def hang_up(self, carrier_call_id: str) -> None:
        try:
            await self._update(carrier_call_id, Repeat.FREELY, Status="completed")
        except ProviderRejected as error:
            if error.provider_status != 404 and error.details["carrier_code"] not in _OVER:
                raise

    async def transfer(self, carrier_call_id: str, to_number: str, status_url: str) -> None:
        document = f"<Response><Dial>{escape(to_number)}</Dial></Response>"
        await self._update(carrier_call_id, Repeat.UNSENT, Twiml=document)

    async def accept(self, carrier_call_id: str, media_url: str) -> Reply:
        return _document(_connect(media_url))

    async def reject(self, carrier_call_id: str) -> Reply:
        return _document('<Response><Reject reason="rejected"/></Response>')

    def verify(self, webhook: Webhook) -> None:
        fields = webhook.form.items() if webhook.method == "POST" else ()
        expected = signatures.twilio_signature(self._auth_token, webhook.url, fields)
        signatures.check(NAME, SIGNATURE, webhook.headers.get(SIGNATURE), expected)

    def verify_stream(self, url: str, headers: Mapping[str, str]) -> None:
        # Twilio has signed stream addresses both with and without a slash at their end.
        expected = [
            signatures.twilio_signature(self._auth_token, signed) for signed in (url, url + "/")
        ]
        signatures.check(NAME, SIGNATURE, headers.get(SIGNATURE), *expected)

    def read(self, webhook: Webhook) -> Report:
        fields = webhook.form
        sid, status = field_of(fields, "CallSid"), field_of(fields, "CallStatus")
        is_inbound = fields.get("Direction") == "inbound"
        if is_inbound and status in ("ringing", "in-progress") and "CallbackSource" not in fields:
            return Report(sid, Offered(field_of(fields, "To"), fields.get("From", "")))
        if status == "ringing":
            return Report(sid, Rang())
        if status in _ENDS:
            return Report(sid, Ended(_ENDS[status], fields.get("SipResponseCode", "")))
        if status == "failed":
            code = fields.get("SipResponseCode") or fields.get("ErrorCode", "")
            return Report(sid, Ended(_SIP_CAUSES.get(code, HangupCause.CARRIER_ERROR), code))
        return Report(sid, None)

    async def _update(self, carrier_call_id: str, repeat: Repeat, **form: str) -> None:
        path = f"{self._calls}/{carrier_call_id}.json"
        await self._api.order("POST", path, repeat=repeat, form=form)


def _connect(media_url: str) -> str:
    return f"<Response><Connect><Stream url={quoteattr(media_url)}/></Connect></Response>"


def _document(twiml: str) -> Reply:
    return Reply(twiml.encode(), "text/xml")


def _may_be(call: Mapping[str, Any], placed_at: datetime) -> bool:
    """Whether a listed call was made by our API since `placed_at`."""
    try:
        created = parsedate_to_datetime(str(call.get("date_created")))
    except ValueError:
        return False
    return call.get("direction") == "outbound-api" and created >= placed_at - CLOCKS_APART


class TwilioCodec:
    """Media Streams: JSON, mu-law at 8 kHz in base64. Implements `Codec`."""

    sample_rate = 8000

    def __init__(self) -> None:
        self._stream_sid = ""

    def read(self, frame: WireMessage) -> Sequence[StreamEvent]:
        message = frames.parse(NAME, frame)
        match message:
            case {"event": "media", "media": {"payload": str(payload), **media}}:
                if media.get("track", "inbound") != "inbound":
                    return ()
                return (Audio(g711.decode(frames.unpack(NAME, payload), "mulaw")),)
            case {"event": "start", "start": {"streamSid": str(stream_sid)}}:
                self._stream_sid = stream_sid
            case {"event": "dtmf", "dtmf": {"digit": str(digit)}}:
                return (Pressed(digit),)
            case {"event": "mark", "mark": {"name": str(name)}}:
                return (Played(name),)
            case {"event": "stop"}:
                return (Stopped(),)
            case {"event": "media" | "start" | "dtmf" | "mark"}:
                raise ProviderGarbled(
                    f"Expected Twilio's documented fields; got {sorted(message)}", provider=NAME
                )
            case _:
                pass
        return ()

    def audio(self, samples: Samples) -> str:
        payload = frames.pack(g711.encode(samples, "mulaw"))
        return self._message("media", media={"payload": payload})

    def clear(self) -> str:
        return self._message("clear")

    def mark(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def _message(self, event: str, **body: Any) -> str:
        return orjson.dumps({"event": event, "streamSid": self._stream_sid, **body}).decode()
