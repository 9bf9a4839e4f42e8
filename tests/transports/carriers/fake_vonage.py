"""Vonage, as its documentation describes it: Voice API, signed webhooks, WebSocket endpoints."""

import hashlib
import json
import time
from typing import Any

import httpx2
import jwt
import numpy as np
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from nur_server.clock import SystemClock
from nur_server.ports import HangupCause, Samples
from nur_server.transports.carriers.vonage import Vonage
from tests.providers.servers import Exchange
from tests.transports.carriers.stage import FakeCarrier, Phone, Placed

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRET = "the signature secret of the account"
ENDS = {
    HangupCause.NORMAL: {"status": "completed"},
    HangupCause.BUSY: {"status": "busy"},
    HangupCause.NO_ANSWER: {"status": "unanswered"},
    HangupCause.CANCELED: {"status": "cancelled"},
    HangupCause.REJECTED: {"status": "rejected"},
    HangupCause.INVALID_NUMBER: {"status": "failed", "detail": "unallocated_number"},
    HangupCause.CARRIER_ERROR: {"status": "failed", "detail": "cannot_route"},
}


class VonagePhone(Phone):
    rate = 16_000

    async def greet(self) -> None:
        await self.stream.send(
            '{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}'
        )

    def spoken(self, samples: Samples) -> bytes:
        return samples.astype("<i2").tobytes()

    def read(self, frame: str | bytes) -> np.ndarray | str | None:
        if isinstance(frame, bytes):
            return np.frombuffer(frame, "<i2")
        message = json.loads(frame)
        if message == {"action": "clear"}:
            return None
        assert message["action"] == "notify", message
        return str(message["payload"]["mark"])

    def echo(self, mark: str) -> str:
        return json.dumps({"event": "websocket:notify", "payload": {"mark": mark}})

    def pressed(self, digit: str) -> str:
        return json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    async def stop(self) -> None:
        await self.stream.close()


class FakeVonage(FakeCarrier):
    name = "vonage"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "carrier_account": "app-1",
            "carrier_token": SECRET,
            "carrier_private_key": PEM,
        }

    def carrier(self, client: httpx2.AsyncClient, api_url: str) -> Vonage:
        return Vonage(client, "app-1", PEM, SECRET, SystemClock(), api_url)

    async def handle(self, exchange: Exchange) -> None:
        asked = exchange.asked
        token = asked.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"])
        assert claims["application_id"] == "app-1"
        if self.loses:
            exchange.die()
        if self.answers:
            status, body = self.answers.pop(0)
            await exchange.answer(json.dumps({"title": body["message"]}), status)
            return
        if asked.method == "POST":
            placed = self._place(asked.json)
            if self.swallows:
                exchange.die()
            answer = {"uuid": placed.carrier_call_id, "status": "started"}
            await exchange.answer(json.dumps(answer), 201)
        elif asked.method == "GET":
            await exchange.answer(json.dumps({"_embedded": {"calls": []}}))
        else:
            await self._change(asked.path.removeprefix("/v1/calls/"), asked.json)
            await exchange.answer("", 204)

    def _place(self, body: dict[str, Any]) -> Placed:
        placed = Placed(
            f"uuid-{len(self.placed)}",
            "+" + body["to"][0]["number"],
            "+" + body["from"]["number"],
            self.stream_in(body["ncco"]),
            body["event_url"][0],
        )
        self.placed.append(placed)
        return placed

    def stream_in(self, ncco: list[dict[str, Any]]) -> str:
        endpoint = ncco[0]["endpoint"][0]
        assert (ncco[0]["action"], endpoint["type"]) == ("connect", "websocket")
        assert endpoint["content-type"] == "audio/l16;rate=16000"
        return str(endpoint["uri"])

    async def _change(self, target: str, body: dict[str, Any]) -> None:
        uuid, _, rest = target.partition("/")
        if rest == "dtmf":
            self.pressed.append((uuid, body["digits"]))
        elif body == {"action": "hangup"}:
            self.hung_up.append(uuid)
        else:
            assert body["action"] == "transfer"
            number = body["destination"]["ncco"][0]["endpoint"][0]["number"]
            self.transferred.append((uuid, "+" + number))
            for phone in self.phones:
                await phone.stop()

    async def report(self, url: str, **fields: str) -> Any:
        body = json.dumps(fields).encode()
        claims = {"iat": int(time.time()), "payload_hash": hashlib.sha256(body).hexdigest()}
        token = jwt.encode(claims, SECRET, algorithm="HS256")
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.client.post(self.way_to(url), content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.text else None

    async def ring(self, call: Placed) -> None:
        await self._tell(call, status="ringing")

    async def end(self, call: Placed, cause: HangupCause) -> None:
        await self._tell(call, **ENDS[cause])

    async def _tell(self, call: Placed, **fields: str) -> None:
        # The stream is a leg of its own, and reported to the same address.
        await self.report(call.status_url, uuid="leg-2", to=call.address, status="answered")
        await self.report(
            call.status_url, uuid=call.carrier_call_id, to=call.to_number[1:], **fields
        )

    async def pick_up(self, call: Placed) -> VonagePhone:
        return await self.stream(call.address, call.carrier_call_id)

    async def stream(self, url: str, call_id: str) -> VonagePhone:
        phone = await self.open(VonagePhone, url, [])
        assert isinstance(phone, VonagePhone)
        await phone.begin()
        return phone

    async def call_in(self, to_number: str, from_number: str) -> VonagePhone | None:
        ncco = await self.report(
            f"{self.base}/v1/carriers/vonage/inbound",
            uuid="uuid-in",
            to=to_number.removeprefix("+"),
            **{"from": from_number.removeprefix("+")},
        )
        if ncco == []:
            self.rejected.append("uuid-in")
            return None
        return await self.stream(self.stream_in(ncco), "uuid-in")
