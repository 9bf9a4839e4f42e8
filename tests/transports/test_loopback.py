"""Simulated callees, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from nur_server.conversation.events import EndedReason
from nur_server.errors import ProviderUnreachable
from nur_server.ports import DialRequest, HangupCause, Samples, Transport
from nur_server.providers.scripted import ScriptedTextToSpeech
from nur_server.transports.loopback import (
    SCENES,
    TALKS,
    Answer,
    AwaitSpeech,
    HangUp,
    HearOut,
    LoopbackCall,
    LoopbackEngine,
    Pause,
    Press,
    Refuse,
    Ring,
    Say,
    Script,
    Sound,
    State,
    Vanish,
    beep,
    callee_of,
)

pytestmark = pytest.mark.looptime

FRAME = np.full(160, 1000, np.int16)


@dataclass
class Caller:
    """Our side of one call: a `CallObserver` and a `SessionInput` that keep what they are told."""

    leg: Transport | None = None
    rang: int = 0
    end: tuple[HangupCause, str] | None = None
    heard: list[Samples] = field(default_factory=list)
    keys: str = ""
    hung_up_by: HangupCause | None = None

    def ringing(self) -> None:
        self.rang += 1

    def answered(self, leg: Transport) -> None:
        self.leg = leg
        leg.connect(self)

    def hear(self, samples: Samples) -> None:
        self.heard.append(samples)

    def press(self, digit: str) -> None:
        self.keys += digit

    def hung_up(self, cause: HangupCause) -> None:
        self.hung_up_by = cause

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        self.end = (cause, detail)

    @property
    def seconds_heard(self) -> float:
        return sum(map(len, self.heard)) / 16_000

    @property
    def loudness(self) -> int:
        audio = np.concatenate(self.heard) if self.heard else np.zeros(1, np.int16)
        return int(np.abs(audio.astype(np.int32)).max())


@dataclass
class Scene:
    engine: LoopbackEngine
    caller: Caller
    call: LoopbackCall
    carrier_call_id: str


@asynccontextmanager
async def scene(
    script: Script, *, ring_seconds: float = 5.0, tts: ScriptedTextToSpeech | None = None
) -> AsyncIterator[Scene]:
    calls: list[LoopbackCall] = []
    engine = LoopbackEngine(
        tts or ScriptedTextToSpeech(tone_hz=300),
        "tone",
        callee=lambda request: script,
        on_call=calls.append,
    )
    caller = Caller()
    request = DialRequest("call_1", "+15550100", "+15550199", ring_seconds)
    carrier_call_id = await engine.dial(request, caller)
    try:
        yield Scene(engine, caller, calls[0], carrier_call_id)
    finally:
        await engine.close()


async def test_a_callee_rings_answers_speaks_and_hangs_up() -> None:
    async with scene((Ring(1), Answer(), Say("Hello there"), HangUp())) as s:
        await asyncio.sleep(0.5)
        assert (s.caller.rang, s.caller.leg) == (1, None)
        await asyncio.sleep(1)
        assert s.caller.leg is s.call
        await asyncio.sleep(2)
        assert s.caller.end == (HangupCause.NORMAL, "")
        assert s.caller.hung_up_by is HangupCause.NORMAL
        assert s.caller.seconds_heard == pytest.approx(0.66, abs=0.05)
        assert s.caller.loudness > 5000
        assert len(s.engine) == 0


async def test_audio_flows_in_real_time_also_in_silence() -> None:
    async with scene((Answer(), Pause(10))) as s:
        await asyncio.sleep(4)
        assert s.caller.seconds_heard == pytest.approx(4, abs=0.1)
        assert s.caller.loudness < 20


@pytest.mark.parametrize(
    "cause", [HangupCause.BUSY, HangupCause.REJECTED, HangupCause.INVALID_NUMBER]
)
async def test_a_callee_who_does_not_pick_up(cause: HangupCause) -> None:
    async with scene((Ring(1), Refuse(cause))) as s:
        await asyncio.sleep(2)
        assert s.caller.end == (cause, "")
        assert s.caller.leg is None
        assert s.caller.hung_up_by is None


async def test_nobody_answers_for_as_long_as_it_rings() -> None:
    async with scene((Ring(1), Refuse(HangupCause.NO_ANSWER)), ring_seconds=5) as s:
        await asyncio.sleep(4.9)
        assert s.caller.end is None
        await asyncio.sleep(1.2)
        assert s.caller.end == (HangupCause.NO_ANSWER, "")


async def test_hanging_up_before_the_answer_cancels() -> None:
    async with scene((Ring(30), Answer())) as s:
        await asyncio.sleep(1)
        await s.engine.hang_up(s.carrier_call_id)
        assert s.caller.end == (HangupCause.CANCELED, "")
        await s.engine.hang_up(s.carrier_call_id)
        await s.engine.hang_up("loop_unknown")


async def test_closing_the_leg_lets_what_was_played_be_heard_first() -> None:
    async with scene((Answer(), Pause(30))) as s:
        await asyncio.sleep(0.1)
        for _ in range(10):
            s.call.play("r1", FRAME)
        s.call.close(EndedReason.AGENT_ENDED)
        await asyncio.sleep(0.1)
        assert s.caller.end is None
        await asyncio.sleep(0.3)
        assert s.caller.end == (HangupCause.NORMAL, "")
        assert s.call.agent_frames == 10
        await asyncio.sleep(0.1)
        assert len(s.engine) == 0, "the callee's script does not go on"


async def test_clearing_drops_one_response_alone() -> None:
    async with scene((Answer(), Pause(30))) as s:
        await asyncio.sleep(0.1)
        for _ in range(5):
            s.call.play("r1", FRAME)
        for _ in range(3):
            s.call.play("r2", FRAME)
        s.call.clear("r1")
        await asyncio.sleep(1)
        assert s.call.agent_frames == 3


async def test_agent_audio_that_waits_is_bounded() -> None:
    async with scene((Answer(), Pause(60))) as s:
        await asyncio.sleep(0.1)
        for _ in range(1000):
            s.call.play("r1", FRAME)
        await asyncio.sleep(30)
        assert s.call.agent_frames == 250


async def test_hearing_the_agent_out() -> None:
    async with scene((Answer(), HearOut(quiet_seconds=0.5), HangUp())) as s:
        await asyncio.sleep(1)
        for _ in range(10):
            s.call.play("r1", FRAME)
            await asyncio.sleep(0.02)
        assert s.caller.end is None
        await asyncio.sleep(0.8)
        assert s.caller.end is not None


async def test_a_silent_agent_is_not_waited_for_for_ever() -> None:
    async with scene((Answer(), HearOut(most_seconds=3), HangUp())) as s:
        await asyncio.sleep(4)
        assert s.caller.end is not None


async def test_talking_over_the_agent() -> None:
    async with scene((Answer(), AwaitSpeech(0.3), Say("Wait"), Pause(9))) as s:
        await asyncio.sleep(0.1)
        for _ in range(50):
            s.call.play("r1", FRAME)
        await asyncio.sleep(0.25)
        assert s.caller.loudness < 20
        await asyncio.sleep(0.3)
        assert s.caller.loudness > 5000
        assert s.call.agent_frames < 50, "the agent is still speaking"


async def test_a_callee_cut_off_in_mid_word() -> None:
    script = (Answer(), Say("A very long sentence indeed", stops_after_seconds=0.3), HangUp())
    async with scene(script) as s:
        await asyncio.sleep(2)
        assert s.caller.seconds_heard == pytest.approx(0.3, abs=0.06)


async def test_keys_both_ways() -> None:
    async with scene((Answer(), Press("12#"), Pause(9))) as s:
        await asyncio.sleep(1)
        s.call.send_digits("99")
        assert (s.caller.keys, s.call.keys_pressed) == ("12#", "99")


async def test_a_callee_who_vanishes_tells_nobody() -> None:
    async with scene((Answer(), Pause(0.5), Vanish())) as s:
        await asyncio.sleep(5)
        assert (s.caller.end, s.caller.hung_up_by) == (None, None)
        assert s.caller.seconds_heard == pytest.approx(0.5, abs=0.05)
        assert (s.call.state, len(s.engine)) == (State.VANISHED, 0)


async def test_a_transfer_ends_our_part() -> None:
    async with scene((Answer(), Pause(9))) as s:
        await asyncio.sleep(0.1)
        await s.call.transfer("+14155552671")
        assert s.call.transferred_to == "+14155552671"
        assert s.caller.end == (HangupCause.NORMAL, "")


async def test_a_voicemail_beeps() -> None:
    async with scene((Answer(), beep(), Pause(9))) as s:
        await asyncio.sleep(1)
        audio = np.concatenate(s.caller.heard).astype(np.float64)
        spectrum = np.abs(np.fft.rfft(audio))
        assert np.argmax(spectrum) * 16_000 / len(audio) == pytest.approx(1000, abs=5)


async def test_given_samples_of_any_rate() -> None:
    tone = (8000 * np.sin(np.arange(24_000) * 0.1)).astype(np.int16)
    async with scene((Answer(), Sound(tone, 24_000), HangUp())) as s:
        await asyncio.sleep(2)
        assert s.caller.seconds_heard == pytest.approx(1.0, abs=0.1)


async def test_one_call_however_often_it_is_dialled() -> None:
    async with scene((Ring(9),)) as s:
        other = Caller()
        request = DialRequest("call_1", "+15550100", "+15550199")
        assert await s.engine.dial(request, other) == s.carrier_call_id
        await asyncio.sleep(1)
        assert (len(s.engine), other.rang) == (1, 0)


async def test_a_callee_without_a_voice_fails_the_call() -> None:
    error = ProviderUnreachable("the synthesiser is gone", provider="scripted-tts")
    async with scene((Answer(), Say("Hello")), tts=ScriptedTextToSpeech(failures={0: error})) as s:
        await asyncio.sleep(1)
        assert s.caller.end == (HangupCause.CARRIER_ERROR, "the synthesiser is gone")


async def test_a_caller_calls_in() -> None:
    engine = LoopbackEngine(ScriptedTextToSpeech(), "tone")
    caller = Caller()
    engine.call_in("c-1", caller, (Pause(1), HangUp()))
    await asyncio.sleep(0.5)
    assert caller.leg is not None
    await asyncio.sleep(1)
    assert caller.end == (HangupCause.NORMAL, "")
    await engine.close()


async def test_closing_the_engine_ends_every_call() -> None:
    async with scene((Answer(), Pause(60))) as s:
        await asyncio.sleep(0.1)
        await s.engine.close()
        assert s.caller.end == (HangupCause.NORMAL, "")
        assert len(s.engine) == 0


@pytest.mark.parametrize("number", ["+15550101", "+14155550101"])
def test_the_last_digits_say_who_picks_up(number: str) -> None:
    assert callee_of(DialRequest("c", number, "+15550199")) is SCENES["0101"]


def test_anybody_else_answers_and_talks() -> None:
    assert callee_of(DialRequest("c", "+14155552671", "+15550199")) is TALKS
