"""Telnyx, as its documentation describes it: Call Control, signed webhooks, media streaming."""

import base64
import json
import re
import time
from typing import Any

import httpx2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nur_server.audio import g711
from nur_server.clock import SystemClock
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers.telnyx import Telnyx
from tests.providers.servers import Exchange
from tests.transports.carriers.stage import FakeCarrier, Phone, Placed

KEY = Ed25519PrivateKey.generate()
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
ENDS = {
    HangupCause.NORMAL: "normal_clearing",
    HangupCause.BUSY: "user_busy",
    HangupCause.NO_ANSWER: "timeout",
    HangupCause.CANCELED: "originator_cancel",
    HangupCause.REJECTED: "call_rejected",
    HangupCause.INVALID_NUMBER: "unallocated_number",
    HangupCause.CARRIER_ERROR: "service_unavailable",
}


class TelnyxPhone(Phone):
    chunk = 0
    call_control_id = ""

    async def greet(self) -> None:
        await self.stream.send('{"event":"connected","version":"1.0.0"}')
        start = {"call_control_id": self.call_control_id, "media_format": {"encoding": "PCMU"}}
        await self.stream.send(json.dumps({"event": "start", "stream_id": "s1", "start": start}))

    def spoken(self, samples: Samples) -> str:
        self.chunk += 1
        payload = base64.b64encode(g711.encode(samples, "mulaw")).decode()
        media = {"track": "inbound", "chunk": str(self.chunk), "payload": payload}
        return json.dumps({"event": "media", "stream_id": "s1", "media": media})

    def read(self, frame: str | bytes) -> np.ndarray | str | None:
        message = json.loads(frame)
        match message["event"]:
            case "media":
                return g711.decode(base64.b64decode(message["media"]["payload"]), "mulaw")
            case "mark":
                return str(message["mark"]["name"])
            case "clear":
                return None
        raise AssertionError(f"Telnyx knows no {message['event']!r}")

    def echo(self, mark: str) -> str:
        return json.dumps({"event": "mark", "stream_id": "s1", "mark": {"name": mark}})

    def pressed(self, digit: str) -> str:
        return json.dumps({"event": "dtmf", "stream_id": "s1", "dtmf": {"digit": digit}})

    async def stop(self) -> None:
        await self.stream.send('{"event":"stop","stream_id":"s1","stop":{}}')
        await self.stream.close()


class FakeTelnyx(FakeCarrier):
    name = "telnyx"
    accepted = ""
    """Where an incoming call's audio was asked for."""

    @property
    def settings(self) -> dict[str, str]:
        return {
            "carrier_account": "conn",
            "carrier_token": "the key",
            "carrier_public_key": PUBLIC_KEY,
        }

    def carrier(self, client: httpx2.AsyncClient, api_url: str) -> Telnyx:
        return Telnyx(client, "conn", "the key", PUBLIC_KEY, SystemClock(), api_url)

    async def handle(self, exchange: Exchange) -> None:
        asked = exchange.asked
        assert asked.headers["authorization"] == "Bearer the key"
        if self.loses:
            exchange.die()
        if self.answers:
            status, body = self.answers.pop(0)
            error = {"code": str(body["code"]), "detail": body["message"]}
            await exchange.answer(json.dumps({"errors": [error]}), status)
            return
        data: Any = {"result": "ok"}
        if asked.path == "/v2/calls":
            data = {"call_control_id": self._place(asked.json).carrier_call_id}
            if self.swallows:
                exchange.die()
        elif asked.path == "/v2/connections/conn/active_calls":
            data = [{"call_control_id": "v3:other", "client_state": "eA=="}]
        else:
            await self._act(asked.path, asked.json if asked.body else {})
        await exchange.answer(json.dumps({"data": data}))

    def _place(self, body: dict[str, Any]) -> Placed:
        assert body["connection_id"] == "conn"
        self._check_stream(body)
        control_id = f"v3:call{len(self.placed)}"
        placed = Placed(
            control_id, body["to"], body["from"], body["stream_url"], body["webhook_url"]
        )
        self.placed.append(placed)
        return placed

    def _check_stream(self, body: dict[str, Any]) -> None:
        assert body["stream_bidirectional_mode"] == "rtp"
        assert body["stream_bidirectional_codec"] == body["stream_codec"] == "PCMU"

    async def _act(self, path: str, body: dict[str, Any]) -> None:
        found = re.fullmatch(r"/v2/calls/([\w:]+)/actions/(\w+)", path)
        assert found, path
        match found[2]:
            case "hangup":
                self.hung_up.append(found[1])
            case "transfer":
                self.transferred.append((found[1], body["to"]))
                for phone in self.phones:
                    await phone.stop()
            case "send_dtmf":
                self.pressed.append((found[1], body["digits"]))
            case "answer":
                self._check_stream(body)
                self.accepted = body["stream_url"]
            case "reject":
                assert body["cause"] == "CALL_REJECTED"
                self.rejected.append(found[1])
            case other:
                raise AssertionError(f"Telnyx knows no action {other!r}")

    async def report(self, url: str, event: str, **payload: Any) -> None:
        body = json.dumps({"data": {"event_type": event, "payload": payload}}).encode()
        timestamp = str(int(time.time()))
        signature = base64.b64encode(KEY.sign(timestamp.encode() + b"|" + body)).decode()
        headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}
        answer = await self.client.post(self.way_to(url), content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def ring(self, call: Placed) -> None:
        await self._tell(call, "call.initiated")

    async def end(self, call: Placed, cause: HangupCause) -> None:
        await self._tell(call, "call.hangup", hangup_cause=ENDS[cause])

    async def _tell(self, call: Placed, event: str, **more: str) -> None:
        await self.report(
            call.status_url,
            event,
            call_control_id=call.carrier_call_id,
            direction="outgoing",
            **more,
        )

    async def pick_up(self, call: Placed) -> TelnyxPhone:
        return await self.stream(call.address, call.carrier_call_id)

    async def stream(self, url: str, call_id: str) -> TelnyxPhone:
        phone = await self.open(TelnyxPhone, url, [])
        assert isinstance(phone, TelnyxPhone)
        phone.call_control_id = call_id
        await phone.begin()
        return phone

    async def call_in(self, to_number: str, from_number: str) -> TelnyxPhone | None:
        await self.report(
            f"{self.base}/v1/carriers/telnyx/inbound",
            "call.initiated",
            call_control_id="v3:in",
            direction="incoming",
            to=to_number,
            **{"from": from_number},
        )
        return await self.stream(self.accepted, "v3:in") if self.accepted else None
