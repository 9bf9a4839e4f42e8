"""Time without audio is silence only where the client has really stopped sending."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from nur_server.conversation.notices import UserTranscript
from nur_server.ports import ActivityScore, ActivityStream
from nur_server.providers.scripted import ScriptedActivityStream, ScriptedVoiceActivity
from nur_server.turn_taking.turns import TurnDetection
from tests.session.scene import CONFIG, Scene, scene

pytestmark = pytest.mark.looptime

WORDS = "What is the status of order one zero four two?"
QUICK = replace(CONFIG, turn_detection=TurnDetection(min_silence_ms=300, max_silence_ms=600))


class LateVoiceActivity(ScriptedVoiceActivity):
    """Judges everything, and holds its scores back while it is `held`."""

    def __init__(self) -> None:
        super().__init__()
        self._free = asyncio.Event()
        self._free.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self, seconds: float) -> None:
        self._free.clear()
        await asyncio.sleep(seconds)
        self._free.set()

    def open(self, on_score: Callable[[ActivityScore], None]) -> ActivityStream:
        scores: asyncio.Queue[ActivityScore] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                score = await scores.get()
                await self._free.wait()
                on_score(score)

        task = asyncio.create_task(deliver())
        self._tasks.add(task)
        self.open_streams += 1
        return ScriptedActivityStream(self, scores.put_nowait, -45.0)


def turns(s: Scene) -> list[str]:
    return [t.text for t in s.ear.of(UserTranscript) if t.is_final]


async def speak_through(s: Scene, stalled: float) -> None:
    """Speech in whose middle nothing is sent for a while."""
    await s.speak(1.0)
    s.sends = False
    await asyncio.sleep(stalled)
    s.sends = True
    await s.speak(1.0)


@pytest.mark.parametrize("held", [0.5, 1.0, 2.5])
async def test_late_voice_activity_is_no_silence(held: float) -> None:
    vad = LateVoiceActivity()
    async with scene(config=QUICK, hears=[WORDS], replies=["Yes."], vad=vad) as s:
        await asyncio.sleep(0.5)
        speaking = asyncio.create_task(s.speak(held + 2))
        await asyncio.sleep(1)
        await vad.hold(held)
        assert turns(s) == []
        await speaking
        await asyncio.sleep(2)
        assert turns(s) == [WORDS]


@pytest.mark.parametrize("stalled", [0.4, 0.7, 0.95])
async def test_a_stall_in_the_middle_of_speech_is_no_silence(stalled: float) -> None:
    async with scene(config=QUICK, hears=[WORDS], replies=["Yes."]) as s:
        await asyncio.sleep(0.5)
        await speak_through(s, stalled)
        assert turns(s) == []
        await asyncio.sleep(2)
        assert turns(s) == [WORDS]


async def test_a_client_that_is_muted_after_its_words_is_answered_by_the_clock() -> None:
    async with scene(config=QUICK, hears=[WORDS], replies=["Yes."]) as s:
        await s.speak(1.5)
        await asyncio.sleep(0.2)
        s.sends = False
        await asyncio.sleep(1.0)
        assert turns(s) == [WORDS]
        s.assert_spoke("Yes.")


@pytest.mark.parametrize("seconds", [1.5, 2.0, 4.0])
async def test_a_client_that_goes_silent_in_the_middle_of_a_word_is_answered_too(
    seconds: float,
) -> None:
    async with scene(config=QUICK, hears=[WORDS], replies=["Yes."]) as s:
        await s.speak(seconds)
        s.sends = False
        await asyncio.sleep(2.5)
        assert turns(s) == [WORDS]
