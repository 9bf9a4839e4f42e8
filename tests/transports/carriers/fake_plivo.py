"""Plivo, as its documentation describes it: Voice API, XML documents, audio streaming."""

import base64
import json
import re
from html import unescape
from typing import Any

import httpx2
import numpy as np

from nur_server.audio import g711
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers.plivo import Plivo
from nur_server.transports.carriers.signatures import plivo_signature
from tests.providers.servers import Exchange
from tests.transports.carriers.stage import FakeCarrier, Phone, Placed

AUTH_ID, TOKEN = "MA0000", "the auth token"
STREAM = re.compile(
    r'<Response><Stream bidirectional="true" keepCallAlive="true" '
    r'contentType="audio/x-mulaw;rate=8000">([^<]+)</Stream></Response>'
)
ENDS = {
    HangupCause.NORMAL: ("completed", "Normal Hangup"),
    HangupCause.BUSY: ("busy", "Busy Line"),
    HangupCause.NO_ANSWER: ("no-answer", "No Answer"),
    HangupCause.CANCELED: ("cancel", "Cancelled"),
    HangupCause.REJECTED: ("failed", "Rejected"),
    HangupCause.INVALID_NUMBER: ("failed", "Unallocated Number"),
    HangupCause.CARRIER_ERROR: ("failed", "Network Error"),
}


class PlivoPhone(Phone):
    call_id = ""

    async def greet(self) -> None:
        start = {"callId": self.call_id, "streamId": "st1", "tracks": ["inbound"]}
        await self.stream.send(json.dumps({"event": "start", "start": start}))

    def spoken(self, samples: Samples) -> str:
        payload = base64.b64encode(g711.encode(samples, "mulaw")).decode()
        media = {"track": "inbound", "timestamp": "1", "chunk": 1, "payload": payload}
        return json.dumps({"event": "media", "streamId": "st1", "media": media})

    def read(self, frame: str | bytes) -> np.ndarray | str | None:
        message = json.loads(frame)
        match message["event"]:
            case "playAudio":
                media = message["media"]
                assert (media["contentType"], media["sampleRate"]) == ("audio/x-mulaw", 8000)
                return g711.decode(base64.b64decode(media["payload"]), "mulaw")
            case "checkpoint":
                assert message["streamId"] == "st1"
                return str(message["name"])
            case "clearAudio":
                assert message["streamId"] == "st1"
                return None
        raise AssertionError(f"Plivo knows no {message['event']!r}")

    def echo(self, mark: str) -> str:
        return json.dumps({"event": "playedStream", "streamId": "st1", "name": mark})

    def pressed(self, digit: str) -> str:
        return json.dumps({"event": "dtmf", "streamId": "st1", "dtmf": {"digit": digit}})

    async def stop(self) -> None:
        await self.stream.send('{"event":"stop","streamId":"st1"}')
        await self.stream.close()


class FakePlivo(FakeCarrier):
    name = "plivo"

    @property
    def settings(self) -> dict[str, str]:
        return {"carrier_account": AUTH_ID, "carrier_token": TOKEN}

    def carrier(self, client: httpx2.AsyncClient, api_url: str) -> Plivo:
        return Plivo(client, AUTH_ID, TOKEN, api_url)

    async def handle(self, exchange: Exchange) -> None:
        asked = exchange.asked
        basic = base64.b64encode(f"{AUTH_ID}:{TOKEN}".encode()).decode()
        assert asked.headers["authorization"] == f"Basic {basic}"
        if self.loses:
            exchange.die()
        if self.answers:
            status, body = self.answers.pop(0)
            await exchange.answer(json.dumps({"error": body["message"]}), status)
            return
        calls = f"/v1/Account/{AUTH_ID}/Call/"
        uuid, _, rest = asked.path.removeprefix(calls).partition("/")
        if asked.path == calls:
            placed = self._place(asked.json)
            if self.swallows:
                exchange.die()
            answer = {"request_uuid": placed.carrier_call_id, "message": "call fired"}
            await exchange.answer(json.dumps(answer), 201)
            return
        if asked.method == "DELETE":
            self.hung_up.append(uuid)
        elif rest == "DTMF/":
            self.pressed.append((uuid, asked.json["digits"]))
        else:
            await self._transfer(uuid, asked.json)
        await exchange.answer("", 204)

    def _place(self, body: dict[str, Any]) -> Placed:
        assert body["answer_url"] == body["ring_url"] == body["hangup_url"]
        assert body["answer_method"] == body["ring_method"] == body["hangup_method"] == "POST"
        uuid = f"uuid-{len(self.placed)}"
        placed = Placed(uuid, body["to"], body["from"], "", body["answer_url"])
        self.placed.append(placed)
        return placed

    async def _transfer(self, uuid: str, body: dict[str, Any]) -> None:
        for phone in self.phones:
            await phone.stop()
        document = await self.report(body["aleg_url"], CallUUID=uuid, Event="Redirect")
        found = re.fullmatch(r"<Response><Dial><Number>(.+)</Number></Dial></Response>", document)
        assert found, document
        self.transferred.append((uuid, found[1]))

    async def report(self, url: str, **fields: str) -> str:
        signature = plivo_signature(TOKEN, "POST", url, "n0nce", fields.items())
        headers = {
            "X-Plivo-Signature-V3": f"another,{signature}",
            "X-Plivo-Signature-V3-Nonce": "n0nce",
        }
        answer = await self.client.post(self.way_to(url), data=fields, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def _tell(self, call: Placed, **fields: str) -> str:
        direction = "outbound"
        return await self.report(
            call.status_url, CallUUID=call.carrier_call_id, Direction=direction, **fields
        )

    async def ring(self, call: Placed) -> None:
        await self._tell(call, Event="Ring", CallStatus="ringing")

    async def end(self, call: Placed, cause: HangupCause) -> None:
        status, name = ENDS[cause]
        await self._tell(call, Event="Hangup", CallStatus=status, HangupCauseName=name)

    async def pick_up(self, call: Placed) -> PlivoPhone:
        document = await self._tell(call, Event="StartApp", CallStatus="in-progress")
        return await self._follow(document, call.carrier_call_id)

    async def _follow(self, document: str, call_id: str) -> PlivoPhone:
        found = STREAM.fullmatch(document)
        assert found, document
        return await self.stream(unescape(found[1]), call_id)

    async def stream(self, url: str, call_id: str) -> PlivoPhone:
        phone = await self.open(PlivoPhone, url, [])
        assert isinstance(phone, PlivoPhone)
        phone.call_id = call_id
        await phone.begin()
        return phone

    async def call_in(self, to_number: str, from_number: str) -> PlivoPhone | None:
        document = await self.report(
            f"{self.base}/v1/carriers/plivo/inbound",
            CallUUID="uuid-in",
            Event="StartApp",
            Direction="inbound",
            To=to_number.removeprefix("+"),
            From=from_number.removeprefix("+"),
        )
        if document == '<Response><Hangup reason="rejected"/></Response>':
            self.rejected.append("uuid-in")
            return None
        return await self._follow(document, "uuid-in")
