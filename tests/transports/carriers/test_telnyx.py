"""What Telnyx has of its own: chunks out of order, and reports that grow old."""

import base64
import json
from datetime import UTC, datetime

import httpx2
import pytest

pytest.importorskip("cryptography", reason="Telnyx's signatures need the package cryptography")

from nur_server.clock import ManualClock
from nur_server.errors import Forbidden, ProviderGarbled
from nur_server.transports.carriers.carrier import Audio, Webhook
from nur_server.transports.carriers.telnyx import Telnyx, TelnyxCodec
from tests.transports.carriers.fake_telnyx import KEY, PUBLIC_KEY


def heard(codec: TelnyxCodec, *chunks: int) -> list[int]:
    """The chunks in the order they are heard in; each is as many samples long as its number."""
    lengths = []
    for chunk in chunks:
        payload = base64.b64encode(b"\xff" * chunk).decode()
        media = {"track": "inbound", "chunk": str(chunk), "payload": payload}
        events = codec.read(json.dumps({"event": "media", "media": media}))
        lengths += [len(event.samples) for event in events if isinstance(event, Audio)]
    return lengths


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 3, 2, 4], [1, 2, 3, 4]),
        ([5, 8, 7, 6, 9], [5, 6, 7, 8, 9]),
        ([1, 3, 4, 5, 6], [1, 3, 4, 5, 6]),
        ([1, 3, 4, 5, 6, 2, 7], [1, 3, 4, 5, 6, 7]),
        ([1, 1, 2, 2], [1, 2]),
    ],
)
def test_chunks_are_heard_in_order(sent: list[int], expected: list[int]) -> None:
    assert heard(TelnyxCodec(), *sent) == expected


@pytest.mark.parametrize("frame", ["{", "[]", b"\x00", '{"event":"media","media":{}}'])
def test_a_frame_that_is_not_understood_is_an_error(frame: str | bytes) -> None:
    with pytest.raises(ProviderGarbled):
        TelnyxCodec().read(frame)


def test_a_report_is_believed_for_five_minutes() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    carrier = Telnyx(httpx2.AsyncClient(trust_env=False), "conn", "key", PUBLIC_KEY, clock)
    timestamp = str(int(clock.now().timestamp()))
    signature = base64.b64encode(KEY.sign(timestamp.encode() + b"|{}")).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}
    report = Webhook("POST", "https://nur.test/", headers, b"{}")
    carrier.verify(report)
    clock.advance(300)
    carrier.verify(report)
    clock.advance(1)
    with pytest.raises(Forbidden, match="telnyx-timestamp"):
        carrier.verify(report)


def test_a_report_that_was_changed_is_refused() -> None:
    clock = ManualClock()
    carrier = Telnyx(httpx2.AsyncClient(trust_env=False), "conn", "key", PUBLIC_KEY, clock)
    timestamp = str(int(clock.now().timestamp()))
    signature = base64.b64encode(KEY.sign(timestamp.encode() + b"|{}")).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}
    for changed, body in ((headers, b"{ }"), (headers | {"telnyx-timestamp": "1"}, b"{}")):
        with pytest.raises(Forbidden):
            carrier.verify(Webhook("POST", "https://nur.test/", changed, body))
