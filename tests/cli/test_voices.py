from pathlib import Path

import numpy as np

from nur_server.cli.line import RATE
from nur_server.cli.voices import SILENCE_LEVEL, hear, speak
from nur_server.providers.moonshine import Moonshine
from tests.hearing import assert_heard

QUESTION = "What is the status of order nine one three five?"


async def test_what_the_caller_says_is_understood(models_dir: Path) -> None:
    (speech,) = await speak([QUESTION])
    ears = Moonshine(models_dir)
    try:
        assert_heard(await hear(ears, speech), QUESTION)
    finally:
        await ears.close()


async def test_each_text_is_an_utterance_without_silence_around_it() -> None:
    first, second = await speak(["Yes.", QUESTION])
    assert len(second) > len(first) > RATE // 10
    for speech in (first, second):
        assert min(abs(int(speech[0])), abs(int(speech[-1]))) >= SILENCE_LEVEL


async def test_silence_has_no_words(models_dir: Path) -> None:
    ears = Moonshine(models_dir)
    try:
        assert await hear(ears, np.zeros(RATE, np.int16)) == ""
    finally:
        await ears.close()
