"""Twilio, as its documentation describes it: api.twilio.com, status callbacks, Media Streams."""

import base64
import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import numpy as np

from nur_server.audio import g711
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers.signatures import twilio_signature
from nur_server.transports.carriers.twilio import Twilio
from tests.providers.servers import Exchange
from tests.transports.carriers.stage import FakeCarrier, Phone, Placed

SID, TOKEN = "AC" + "0" * 32, "the auth token"
ENDS = {
    HangupCause.NORMAL: {"CallStatus": "completed"},
    HangupCause.BUSY: {"CallStatus": "busy"},
    HangupCause.NO_ANSWER: {"CallStatus": "no-answer"},
    HangupCause.CANCELED: {"CallStatus": "canceled"},
    HangupCause.REJECTED: {"CallStatus": "failed", "SipResponseCode": "603"},
    HangupCause.INVALID_NUMBER: {"CallStatus": "failed", "SipResponseCode": "404"},
    HangupCause.CARRIER_ERROR: {"CallStatus": "failed", "SipResponseCode": "503"},
}


class TwilioPhone(Phone):
    call_sid = ""
    sequence = 0

    async def _send(self, event: str, **body: Any) -> None:
        await self.stream.send(self._message(event, **body))

    def _message(self, event: str, **body: Any) -> str:
        self.sequence += 1
        return json.dumps(
            {"event": event, "sequenceNumber": str(self.sequence), "streamSid": "MZ1", **body}
        )

    async def greet(self) -> None:
        await self.stream.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        await self._send(
            "start",
            start={
                "streamSid": "MZ1",
                "accountSid": SID,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "customParameters": {},
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        )

    def spoken(self, samples: Samples) -> str:
        payload = base64.b64encode(g711.encode(samples, "mulaw")).decode()
        media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload}
        return self._message("media", media=media)

    def read(self, frame: str | bytes) -> np.ndarray | str | None:
        message = json.loads(frame)
        assert message["streamSid"] == "MZ1"
        match message["event"]:
            case "media":
                return g711.decode(base64.b64decode(message["media"]["payload"]), "mulaw")
            case "mark":
                return str(message["mark"]["name"])
            case "clear":
                return None
        raise AssertionError(f"Twilio knows no {message['event']!r}")

    def echo(self, mark: str) -> str:
        return self._message("mark", mark={"name": mark})

    def pressed(self, digit: str) -> str:
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def stop(self) -> None:
        await self._send("stop", stop={"accountSid": SID, "callSid": self.call_sid})
        await self.stream.close()


class FakeTwilio(FakeCarrier):
    name = "twilio"
    phone = TwilioPhone

    @property
    def settings(self) -> dict[str, str]:
        return {"carrier_account": SID, "carrier_token": TOKEN}

    def carrier(self, client: httpx2.AsyncClient, api_url: str) -> Twilio:
        return Twilio(client, SID, TOKEN, api_url)

    async def handle(self, exchange: Exchange) -> None:
        asked = exchange.asked
        basic = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        assert asked.headers["authorization"] == f"Basic {basic}"
        if self.loses:
            exchange.die()
        if self.answers:
            status, body = self.answers.pop(0)
            await exchange.answer(json.dumps(body), status)
            return
        form = parse_qs(asked.body.decode())
        calls = f"/2010-04-01/Accounts/{SID}/Calls"
        if asked.path == f"{calls}.json" and asked.method == "POST":
            placed = self._place(form)
            if self.swallows:
                exchange.die()
            answer = {"sid": placed.carrier_call_id, "status": "queued"}
            await exchange.answer(json.dumps(answer), 201)
            return
        if asked.path == f"{calls}.json":
            query = parse_qs(urlsplit(asked.target).query)
            await exchange.answer(json.dumps({"calls": self._listed(query)}))
            return
        found = re.fullmatch(rf"{calls}/(\w+)\.json", asked.path)
        assert found and asked.method == "POST"
        if form.get("Status") == ["completed"]:
            self.hung_up.append(found[1])
        else:
            number = re.fullmatch(r"<Response><Dial>(.+)</Dial></Response>", form["Twiml"][0])
            assert number
            self.transferred.append((found[1], number[1]))
            for phone in self.phones:
                await phone.stop()
        await exchange.answer(json.dumps({"sid": found[1]}))

    def _place(self, form: dict[str, list[str]]) -> Placed:
        assert form["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
        placed = Placed(
            f"CA{len(self.placed):032x}",
            form["To"][0],
            form["From"][0],
            self.stream_in(form["Twiml"][0]),
            form["StatusCallback"][0],
        )
        self.placed.append(placed)
        return placed

    def _listed(self, query: dict[str, list[str]]) -> list[dict[str, str]]:
        old = {"sid": "CAold", "direction": "outbound-api"}
        calls = [
            {"sid": placed.carrier_call_id, "direction": "outbound-api", "date_created": _now()}
            for placed in self.placed
            if [placed.to_number] == query["To"] and [placed.from_number] == query["From"]
        ]
        return [*calls, old | {"date_created": "Tue, 10 Aug 2010 08:02:17 +0000"}]

    def stream_in(self, twiml: str) -> str:
        found = re.fullmatch(
            r'<Response><Connect><Stream url="([^"]+)"/></Connect></Response>', twiml
        )
        assert found, twiml
        return unescape(found[1])

    async def report(self, url: str, **fields: str) -> httpx2.Response:
        signature = twilio_signature(TOKEN, url, fields.items())
        headers = {"X-Twilio-Signature": signature}
        return await self.client.post(self.way_to(url), data=fields, headers=headers)

    async def ring(self, call: Placed) -> None:
        answer = await self._status(call, CallStatus="ringing")
        assert answer.status_code == 200

    async def end(self, call: Placed, cause: HangupCause) -> None:
        answer = await self._status(call, **ENDS[cause])
        assert answer.status_code == 200

    async def _status(self, call: Placed, **fields: str) -> httpx2.Response:
        common = {
            "CallSid": call.carrier_call_id,
            "AccountSid": SID,
            "To": call.to_number,
            "From": call.from_number,
            "Direction": "outbound-api",
            "CallbackSource": "call-progress-events",
        }
        return await self.report(call.status_url, **common, **fields)

    async def pick_up(self, call: Placed) -> TwilioPhone:
        return await self.stream(call.address, call.carrier_call_id)

    async def stream(self, url: str, call_sid: str) -> TwilioPhone:
        headers = [("X-Twilio-Signature", twilio_signature(TOKEN, url))]
        phone = await self.open(TwilioPhone, url, headers)
        assert isinstance(phone, TwilioPhone)
        phone.call_sid = call_sid
        await phone.begin()
        return phone

    async def call_in(self, to_number: str, from_number: str) -> TwilioPhone | None:
        answer = await self.report(
            f"{self.base}/v1/carriers/twilio/inbound",
            CallSid="CAinbound",
            AccountSid=SID,
            To=to_number,
            From=from_number,
            CallStatus="ringing",
            Direction="inbound",
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/xml")
        if answer.text == '<Response><Reject reason="rejected"/></Response>':
            self.rejected.append("CAinbound")
            return None
        return await self.stream(self.stream_in(answer.text), "CAinbound")


def _now() -> str:
    return format_datetime(datetime.now(UTC))
