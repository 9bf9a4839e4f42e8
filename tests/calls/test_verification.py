"""Caller ids are verified by a code that a call speaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nur_server.calls.verification import Verification
from nur_server.clock import ManualClock, SystemClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import Forbidden, InvalidRequest, NotFound, RateLimited
from nur_server.ports import CallObserver, DialRequest, HangupCause
from nur_server.providers.scripted import ScriptedTextToSpeech
from nur_server.store.call_records import (
    CallStatus,
    Purpose,
)
from nur_server.store.numbers import CODE_LIFE, MOST_ATTEMPTS, CallerIds
from nur_server.transports.loopback import Answer, Pause, Refuse, Ring, Script
from tests.calls.exchange import ACCOUNT, Exchange, exchange

OURS = "+14155552671"
LISTENS: Script = (Ring(0.05), Answer(), Pause(60))


@dataclass
class Desk:
    here: Exchange
    verification: Verification
    tts: ScriptedTextToSpeech


@asynccontextmanager
async def desk(folder: Path, callee: Script = LISTENS, **options: Any) -> AsyncIterator[Desk]:
    tts = ScriptedTextToSpeech(ms_per_character=4, sample_rate=8000)
    async with exchange(folder, callee, **options) as here:
        clock = options.get("clock") or SystemClock()
        yield Desk(
            here,
            Verification(here.database, here.service, tts, "tone", clock, b"secret"),
            tts,
        )


async def test_a_call_speaks_the_code_and_the_number_is_ours(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        assert challenge.code is not None
        call = await d.here.over(challenge.call_id)
        assert (call.status, call.ended_reason) == (CallStatus.COMPLETED, EndedReason.AGENT_ENDED)
        assert (call.purpose, call.to_number, call.agent_id) == (Purpose.VERIFICATION, OURS, None)
        assert {request.text for request in d.tts.spoken} == {d.tts.spoken[0].text}
        assert ", ".join(challenge.code) in d.tts.spoken[0].text
        assert d.here.calls[0].agent_frames > 10
        assert await d.here.said(call) == [], "a code is no part of a transcript"
        with pytest.raises(InvalidRequest):
            await d.here.service.caller_id(ACCOUNT, OURS)
        spaced = f"{challenge.code[:3]} {challenge.code[3:]}"
        verified = await d.verification.finish(ACCOUNT, OURS, spaced)
        assert verified.verified_over == "loopback"
        assert await d.here.service.caller_id(ACCOUNT, OURS) == OURS
        assert await d.here.service.caller_id(ACCOUNT, None) == OURS


async def test_wrong_codes_are_counted(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        assert challenge.code is not None
        wrong = f"{(int(challenge.code) + 1) % 10**6:06}"
        for _ in range(MOST_ATTEMPTS):
            with pytest.raises(InvalidRequest) as refused:
                await d.verification.finish(ACCOUNT, OURS, wrong)
            assert refused.value.code == "verification_failed"
        with pytest.raises(InvalidRequest):
            await d.verification.finish(ACCOUNT, OURS, challenge.code)


async def test_a_code_does_not_last(tmp_path: Path) -> None:
    clock = ManualClock()
    async with desk(tmp_path, clock=clock) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        clock.advance(CODE_LIFE.total_seconds() + 1)
        with pytest.raises(InvalidRequest):
            await d.verification.finish(ACCOUNT, OURS, challenge.code or "")


async def test_one_call_at_a_time(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.verification.begin(ACCOUNT, OURS)
        with pytest.raises(RateLimited) as refused:
            await d.verification.begin(ACCOUNT, OURS)
        assert refused.value.code == "verification_too_soon"


async def test_nobody_answers(tmp_path: Path) -> None:
    async with desk(tmp_path, (Refuse(HangupCause.BUSY),)) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        call = await d.here.over(challenge.call_id)
        assert call.ended_reason is EndedReason.BUSY


async def test_a_number_that_may_not_be_called_is_not_called(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        with pytest.raises(Forbidden):
            await d.verification.begin(ACCOUNT, "+19005551234")
        with pytest.raises(NotFound):
            await d.verification.finish(ACCOUNT, OURS, "123456")
        assert await CallerIds(d.here.database, ACCOUNT).list() == ()


class Carrier:
    """A real carrier whose calls are never answered."""

    name = "real"

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        observer.ended(HangupCause.BUSY)
        return f"c-{request.call_id}"

    async def hang_up(self, carrier_call_id: str) -> None:
        raise AssertionError("it has ended")


async def test_over_a_real_carrier_the_code_is_told_on_the_phone_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, engine=Carrier()) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        assert challenge.code is None
        call = await d.here.over(challenge.call_id)
        assert call.from_number == OURS, "an account without any caller id shows the number itself"


async def test_what_a_simulated_call_proved_is_worth_nothing_to_a_carrier(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        challenge = await d.verification.begin(ACCOUNT, OURS)
        await d.verification.finish(ACCOUNT, OURS, challenge.code or "")
    async with exchange(tmp_path, engine=Carrier()) as here:
        with pytest.raises(InvalidRequest) as refused:
            await here.service.caller_id(ACCOUNT, OURS)
        assert refused.value.code == "caller_id_not_verified"
        for wanted, code in (("+15550199", "caller_id_not_verified"), (None, "caller_id_missing")):
            with pytest.raises(InvalidRequest) as refused:
                await here.service.caller_id(ACCOUNT, wanted)
            assert refused.value.code == code
