import asyncio

import numpy as np
import pytest

from nur_server.cli.line import RATE, STEP, silence
from nur_server.cli.mouth import Microphone, Reciter

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_is_silent_until_there_is_something_to_say() -> None:
    mouth = Reciter()
    assert not (await mouth.step(silence())).any()
    mouth.say(np.full(STEP + 100, 7, np.int16))
    assert mouth.is_speaking
    assert (await mouth.step(silence())).tolist() == [7] * STEP
    assert (await mouth.step(silence())).tolist() == [7] * 100 + [0] * (STEP - 100)
    assert not mouth.is_speaking


async def test_speaks_at_the_pace_of_speech() -> None:
    mouth = Reciter()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(51):
        await mouth.step(silence())
    assert loop.time() - began == pytest.approx(50 * STEP / RATE)


async def test_makes_up_for_a_short_delay_and_lets_a_long_one_go() -> None:
    mouth = Reciter()
    loop = asyncio.get_running_loop()
    await mouth.step(silence())
    await asyncio.sleep(0.1)
    behind = loop.time()
    for _ in range(5):
        await mouth.step(silence())
    assert loop.time() == behind
    await asyncio.sleep(10)
    late = loop.time()
    for _ in range(60):
        await mouth.step(silence())
    assert loop.time() - late == pytest.approx(50 * STEP / RATE, abs=2 * STEP / RATE)


async def test_a_microphone_gives_what_was_said_and_plays_what_was_heard() -> None:
    microphone = Microphone(asyncio.get_running_loop())
    said, played = np.full(STEP, 9, "<i2"), bytearray(2 * STEP)
    stepping = asyncio.ensure_future(microphone.step(np.full(STEP, 5, np.int16)))
    await asyncio.sleep(0)
    microphone.exchange(said.tobytes(), memoryview(played))
    assert (await stepping).tolist() == [9] * STEP
    assert np.frombuffer(played, "<i2").tolist() == [5] * STEP
    microphone.exchange(said.tobytes(), memoryview(played))
    assert not any(played)
