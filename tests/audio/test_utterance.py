"""The buffer between a session and a recogniser."""

import asyncio

import numpy as np

from nur_server.audio.utterance import MAX_SECONDS, UtteranceAudio


def block(length: int, value: int = 1) -> np.ndarray:
    return np.full(length, value, np.int16)


async def test_audio_is_read_back_in_order() -> None:
    audio = UtteranceAudio()
    audio.append(block(100, 1))
    audio.append(block(50, 2))
    assert audio.length == 150
    assert list(audio.read(98, 102)) == [1, 1, 2, 2]


async def test_a_reader_sleeps_until_there_is_enough() -> None:
    audio = UtteranceAudio()
    waiting = asyncio.create_task(audio.wait(100))
    await asyncio.sleep(0)
    audio.append(block(100))
    await asyncio.sleep(0)
    assert not waiting.done()
    audio.append(block(1))
    await waiting


async def test_a_pause_and_the_end_wake_a_reader() -> None:
    audio = UtteranceAudio()
    for wake in (audio.mark_pause, audio.end):
        waiting = asyncio.create_task(audio.wait(10_000))
        await asyncio.sleep(0)
        wake()
        await waiting


async def test_pauses_are_positions() -> None:
    audio = UtteranceAudio()
    audio.append(block(100))
    audio.mark_pause()
    audio.append(block(60))
    audio.mark_pause()
    assert audio.pauses == (100, 160)
    assert audio.last_pause == 160


async def test_blocks_hand_out_everything_once() -> None:
    audio = UtteranceAudio()
    got: list[int] = []

    async def read() -> None:
        async for samples in audio.blocks(10):
            got.extend(samples)

    reading = asyncio.create_task(read())
    for value in range(5):
        audio.append(block(100, value))
        await asyncio.sleep(0)
    audio.end()
    await reading
    assert got == [value for value in range(5) for _ in range(100)]


async def test_after_the_end_nothing_is_added() -> None:
    audio = UtteranceAudio()
    audio.append(block(10))
    audio.end()
    audio.append(block(10))
    assert audio.length == 10 and audio.ended


async def test_it_has_a_bound() -> None:
    audio = UtteranceAudio(sample_rate=10)
    audio.append(block(10 * MAX_SECONDS + 5))
    assert audio.length == 10 * MAX_SECONDS
