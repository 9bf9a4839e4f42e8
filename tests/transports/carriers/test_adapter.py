"""A call through each carrier: every vendor's fake speaks its documented messages over sockets."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from nur_server.audio.dtmf import DigitDetector
from nur_server.audio.resample import resample
from nur_server.conversation.events import EndedReason
from nur_server.errors import ProviderError, ProviderRejected
from nur_server.ports import DialRequest, HangupCause, TelephonyEngine
from nur_server.transports.carriers import adapter
from nur_server.transports.carriers.carrier import Carrier
from nur_server.transports.carriers.media import CarrierLeg
from nur_server.transports.carriers.rest import OUTCOME_UNKNOWN, UNREACHABLE
from tests.transports.carriers.fakes import FAKES
from tests.transports.carriers.stage import CALLEE, OURS, FakeCarrier, LineLog, Stage, staged, tone


@pytest.fixture(params=FAKES, ids=lambda make: make.name)
def fake(request: pytest.FixtureRequest) -> FakeCarrier:
    made = request.param()
    assert isinstance(made, FakeCarrier)
    return made


@pytest.fixture
async def stage(fake: FakeCarrier) -> AsyncIterator[Stage]:
    async with staged(fake) as made:
        yield made


def likeness(heard: np.ndarray, said: np.ndarray) -> float:
    """Correlation at the best shift, 0–1."""
    products = np.correlate(heard.astype(float), said.astype(float), "valid")
    return float(products.max() / (np.linalg.norm(heard) * np.linalg.norm(said) + 1e-9))


# Placing


async def test_it_is_a_telephony_engine_and_a_carrier(stage: Stage) -> None:
    engine: TelephonyEngine = stage.engine
    async with httpx2.AsyncClient() as client:
        carrier: Carrier = stage.fake.carrier(client, "http://127.0.0.1:1")
    assert engine.name == carrier.name == stage.fake.name


async def test_a_call_is_placed_rings_and_is_answered_when_its_audio_flows(stage: Stage) -> None:
    placed = await stage.dial()
    assert (placed.to_number, placed.from_number) == (CALLEE, OURS)
    await stage.fake.ring(placed)
    assert stage.line.told == ["ringing"]
    phone = await stage.fake.pick_up(placed)
    assert stage.line.told == ["ringing"]
    await phone.say(tone(0.04, phone.rate))
    leg = await stage.line.leg()
    assert stage.line.told == ["ringing", "answered"]
    assert leg.capabilities.output_rate == phone.rate


async def test_a_call_asked_for_twice_is_placed_once(stage: Stage) -> None:
    request = DialRequest("call_1", CALLEE, OURS)
    ids = await asyncio.gather(*(stage.engine.dial(request, stage.line) for _ in range(3)))
    assert ids == [stage.fake.placed[0].carrier_call_id] * 3
    await stage.fake.end(stage.fake.placed[0], HangupCause.BUSY)
    assert await stage.engine.dial(request, stage.line) == ids[0]
    assert len(stage.fake.placed) == 1


@pytest.mark.parametrize("cause", [cause for cause in HangupCause if cause != "no_media"])
async def test_a_call_that_is_not_answered_ends_with_its_cause(
    stage: Stage, cause: HangupCause
) -> None:
    placed = await stage.dial()
    await stage.fake.end(placed, cause)
    assert await stage.line.cause() is cause
    assert len(stage.engine) == 0


async def test_reports_may_come_late_twice_and_in_any_order(stage: Stage) -> None:
    placed = await stage.dial()
    await stage.fake.end(placed, HangupCause.BUSY)
    await stage.fake.ring(placed)
    await stage.fake.end(placed, HangupCause.NORMAL)
    assert stage.line.told == ["ended"]
    assert await stage.line.cause() is HangupCause.BUSY


async def test_a_refused_order_says_why_and_leaves_nothing(stage: Stage) -> None:
    stage.fake.answers = [(403, {"code": 21215, "message": "Not allowed to call there."})]
    with pytest.raises(ProviderRejected, match="Not allowed to call there") as caught:
        await stage.dial()
    assert caught.value.provider == stage.fake.name
    assert not stage.fake.placed


async def test_an_order_that_broke_off_is_looked_up_and_never_repeated(stage: Stage) -> None:
    stage.fake.swallows = True
    dialling = asyncio.create_task(stage.dial())
    await stage.fake.ring(await stage.ordered())
    placed = await dialling
    phone = await stage.fake.pick_up(placed)
    await phone.say(tone(0.04, phone.rate))
    await stage.line.leg()
    assert len(stage.fake.placed) == 1


async def test_an_order_nobody_knows_of_is_given_up_and_hung_up_should_it_ring(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LOOK_UP_SECONDS", (0.05, 0.1, 0.2))
    stage.fake.loses = True
    with pytest.raises(ProviderError) as caught:
        await stage.dial()
    assert caught.value.code == OUTCOME_UNKNOWN
    assert not caught.value.retryable
    assert not stage.fake.placed


async def test_a_call_that_was_given_up_while_it_was_placed_is_hung_up(stage: Stage) -> None:
    stage.fake.swallows = True
    dialling = asyncio.create_task(stage.dial())
    placed = await stage.ordered()
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    stage.fake.swallows = False
    await stage.fake.ring(placed)
    assert stage.fake.hung_up == [placed.carrier_call_id]
    assert stage.line.told == []


async def test_a_carrier_that_cannot_be_reached_is_named(fake: FakeCarrier) -> None:
    async with staged(fake) as stage, httpx2.AsyncClient(trust_env=False) as client:
        engine = type(stage.engine)
        carrier = fake.carrier(client, "http://127.0.0.1:1")
        other = engine(carrier, "http://127.0.0.1:2", stage.engine._clock, stage.engine._on_inbound)
        with pytest.raises(ProviderError, match=fake.name) as caught:
            await other.dial(DialRequest("call_1", CALLEE, OURS), LineLog())
        assert caught.value.code == UNREACHABLE


# Talking


async def test_what_the_far_end_says_is_heard_at_16_khz(stage: Stage) -> None:
    _, ear, phone = await stage.answered()
    said = tone(0.3, phone.rate, hz=700)
    await phone.say(said)
    await ear.until(lambda: len(ear.samples) > 16_000 * 0.34)
    assert likeness(ear.samples[-6000:], resample(said, phone.rate, 16_000)[1000:4000]) > 0.6


async def test_what_was_said_before_anybody_listened_is_not_lost(stage: Stage) -> None:
    _, ear, _ = await stage.answered()
    await ear.until(lambda: len(ear.samples) > 16_000 * 0.04)


async def test_what_the_agent_says_is_played(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    said = tone(0.3, phone.rate, hz=600)
    for start in range(0, len(said), phone.rate // 50):
        leg.play("r1", said[start : start + phone.rate // 50])
    await phone.until(lambda: len(phone.heard) == len(said))
    assert likeness(phone.heard, said) > 0.99


async def test_an_interruption_clears_what_the_carrier_holds(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    step = phone.rate // 50
    for _ in range(15):
        leg.play("r1", tone(0.02, phone.rate))
    await phone.until(lambda: len(phone.heard) >= 2 * step)
    leg.clear("r1")
    await phone.until(lambda: phone.clears == 1 and not phone.waiting)
    heard = len(phone.heard)
    assert heard < 15 * step
    leg.play("r2", tone(0.02, phone.rate, hz=900))
    await phone.until(lambda: len(phone.heard) == heard + step)


async def test_little_is_left_with_the_carrier_however_fast_audio_is_made(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    for _ in range(50):
        leg.play("r1", tone(0.02, phone.rate))
    await phone.until(lambda: len(phone.heard) == phone.rate)
    assert 200 <= phone.most_waiting_ms <= 440
    assert isinstance(leg, CarrierLeg)
    await phone.until(lambda: leg.unplayed_ms == 0)


async def test_a_carrier_that_answers_no_marks_is_sent_everything_all_the_same(
    stage: Stage,
) -> None:
    leg, _, phone = await stage.answered()
    phone.answers_marks = False
    for _ in range(70):
        leg.play("r1", tone(0.02, phone.rate))
        await phone.say(tone(0.02, phone.rate))
        await asyncio.sleep(0.02)
    await phone.until(lambda: len(phone.heard) == phone.rate * 70 // 50)


async def test_keys_the_far_end_presses_are_told(stage: Stage) -> None:
    _, ear, phone = await stage.answered()
    for digit in "12#":
        await phone.press(digit)
    await ear.until(lambda: ear.digits == "12#")


async def test_keys_are_pressed_on_our_side(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    leg.call_control.send_digits("42")
    if stage.fake.pressed or stage.engine._carrier.keypad is not None:
        await phone.until(lambda: stage.fake.pressed)
        assert [digits for _, digits in stage.fake.pressed] == ["42"]
    else:
        await phone.until(lambda: len(phone.heard) >= phone.rate * 0.4)
        assert DigitDetector().hear(phone.heard) == "42"


async def test_the_far_end_is_transferred_and_the_call_not_hung_up(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    await leg.call_control.transfer("+14155550199")
    leg.close(EndedReason.TRANSFERRED)
    await phone.closed()
    assert stage.fake.transferred == [(stage.fake.placed[0].carrier_call_id, "+14155550199")]
    await phone.until(lambda: len(stage.engine) == 0)
    assert stage.fake.hung_up == []
    assert stage.line.end is None


async def test_a_refused_transfer_leaves_the_call_as_it_was(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    stage.fake.answers = [(400, {"code": 21220, "message": "Cannot transfer."})]
    with pytest.raises(ProviderRejected, match="Cannot transfer"):
        await leg.call_control.transfer("+14155550199")
    leg.play("r1", tone(0.02, phone.rate))
    await phone.until(lambda: len(phone.heard))


# Ending


async def test_we_hang_up_after_the_last_word_was_played(stage: Stage) -> None:
    leg, _, phone = await stage.answered()
    said = tone(0.2, phone.rate)
    for start in range(0, len(said), phone.rate // 50):
        leg.play("r1", said[start : start + phone.rate // 50])
    leg.close(EndedReason.AGENT_ENDED)
    assert await stage.line.cause() is HangupCause.NORMAL
    await phone.closed()
    assert len(phone.heard) == len(said)
    await phone.until(lambda: stage.fake.hung_up)
    assert stage.fake.hung_up == [stage.fake.placed[0].carrier_call_id]
    assert len(stage.engine) == 0


async def test_the_far_end_hangs_up(stage: Stage) -> None:
    _, ear, phone = await stage.answered()
    await phone.stop()
    assert await stage.line.cause() is HangupCause.NORMAL
    assert ear.cause is HangupCause.NORMAL


async def test_a_report_of_the_end_ends_a_call_whose_stream_is_still_open(stage: Stage) -> None:
    _, ear, phone = await stage.answered()
    await stage.fake.end(stage.fake.placed[0], HangupCause.NORMAL)
    assert await stage.line.cause() is HangupCause.NORMAL
    assert ear.cause is HangupCause.NORMAL
    await phone.closed()
    assert stage.fake.hung_up == []


async def test_a_carrier_that_falls_silent_ends_the_call_with_its_error(stage: Stage) -> None:
    _, ear, phone = await stage.answered()
    assert await stage.line.cause() is HangupCause.CARRIER_ERROR
    assert ear.cause is HangupCause.CARRIER_ERROR
    await phone.until(lambda: stage.fake.hung_up)


async def test_a_stream_that_breaks_ends_the_call_as_the_carrier_reports_it(stage: Stage) -> None:
    _, _, phone = await stage.answered()
    phone.vanish()
    await stage.fake.end(stage.fake.placed[0], HangupCause.NORMAL)
    assert await stage.line.cause() is HangupCause.NORMAL


async def test_a_call_without_any_audio_ends_for_that(stage: Stage) -> None:
    await stage.fake.pick_up(await stage.dial())
    assert await stage.line.cause() is HangupCause.NO_MEDIA
    assert "answered" not in stage.line.told


async def test_hanging_up_a_call_that_is_over_does_nothing(stage: Stage) -> None:
    placed = await stage.dial()
    stage.fake.answers = [(404, {"code": 20404, "message": "The call was not found."})]
    await stage.engine.hang_up(placed.carrier_call_id)
    await stage.engine.hang_up(placed.carrier_call_id)
    assert stage.fake.hung_up == [placed.carrier_call_id]


# Incoming


async def test_somebody_calls_and_is_talked_to(stage: Stage) -> None:
    phone = await stage.fake.call_in(OURS, CALLEE)
    assert phone is not None
    call = stage.inbound[0]
    assert (call.to_number, call.from_number, call.engine) == (OURS, CALLEE, stage.engine)
    await phone.say(tone(0.04, phone.rate))
    leg = await stage.line.leg()
    leg.play("r1", tone(0.02, phone.rate))
    await phone.until(lambda: len(phone.heard))
    leg.close(EndedReason.AGENT_ENDED)
    await phone.until(lambda: stage.fake.hung_up == [call.carrier_call_id])


async def test_a_call_nobody_takes_is_rejected(fake: FakeCarrier) -> None:
    async with staged(fake, takes=False) as stage:
        assert await fake.call_in(OURS, CALLEE) is None
        assert fake.rejected == [stage.inbound[0].carrier_call_id]
        assert len(stage.engine) == 0


# Forgeries


async def test_a_report_that_is_not_signed_is_refused(stage: Stage) -> None:
    placed = await stage.dial()
    for url in (placed.status_url, f"{stage.fake.base}/v1/carriers/{stage.fake.name}/inbound"):
        body = {"CallSid": placed.carrier_call_id, "CallStatus": "completed"}
        for options in ({"data": body}, {"json": body}):
            answer = await stage.client.post(url, **options)
            assert answer.status_code == 403, answer.text
            assert answer.json()["error"]["code"] == "invalid_signature"
    assert stage.line.told == []


async def test_a_stream_opens_once(stage: Stage) -> None:
    placed = await stage.dial()
    await stage.fake.pick_up(placed)
    with pytest.raises(InvalidStatus) as caught:
        await stage.fake.pick_up(placed)
    assert caught.value.response.status_code == 403


async def test_a_stream_with_a_forged_token_is_refused(stage: Stage) -> None:
    placed = await stage.dial()
    forged = stage.engine.stream_url(f"call_1.9999999999.nonce.{'0' * 64}")
    with pytest.raises(InvalidStatus) as caught:
        await stage.fake.stream(forged, placed.carrier_call_id)
    assert caught.value.response.status_code == 403
    assert "answered" not in stage.line.told


async def test_other_carriers_are_unknown(stage: Stage) -> None:
    answer = await stage.client.post(f"{stage.fake.base}/v1/carriers/nobody/inbound")
    assert answer.status_code == 404
