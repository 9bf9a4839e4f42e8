"""smart-turn on speech, and under load."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from nur_server.errors import Unavailable
from nur_server.ports import Samples
from nur_server.providers import smart_turn
from nur_server.providers.smart_turn import SmartTurn, SmartTurnModel

PAUSE = np.zeros(3_200, np.int16)


@pytest.fixture
async def turns(smart_turn_model: SmartTurnModel) -> AsyncIterator[SmartTurn]:
    engine = SmartTurn(Path(), model=smart_turn_model)
    yield engine
    await engine.close()


async def test_a_finished_sentence_sounds_finished(
    turns: SmartTurn, recording: Callable[[str], Samples]
) -> None:
    whole = recording("lj_LJ001-0005.wav")
    assert await turns.score(np.concatenate([whole, PAUSE])) > 0.8


async def test_a_sentence_that_stops_at_a_comma_sounds_unfinished(
    turns: SmartTurn, recording: Callable[[str], Samples]
) -> None:
    clause = recording("lj_LJ001-0006.wav")
    assert await turns.score(np.concatenate([clause, PAUSE])) < 0.3


async def test_only_the_last_eight_seconds_count(
    turns: SmartTurn, say: Callable[[str], Samples]
) -> None:
    speech = np.resize(say("I would like to order two of them."), 16_000 * 8)
    before = np.random.default_rng(1).integers(-9_000, 9_000, 16_000 * 5).astype(np.int16)
    assert await turns.score(np.concatenate([before, speech])) == await turns.score(speech)


async def test_it_yields_when_too_many_pauses_wait(turns: SmartTurn) -> None:
    scores = await asyncio.gather(*(turns.score(PAUSE) for _ in range(5)), return_exceptions=True)
    assert [type(score) for score in scores] == [float] * 3 + [Unavailable] * 2
    assert 0 <= await turns.score(PAUSE) <= 1


async def test_pauses_given_up_leave_the_line(turns: SmartTurn) -> None:
    scores = [asyncio.ensure_future(turns.score(PAUSE)) for _ in range(smart_turn.MAX_WAITING)]
    await asyncio.sleep(0)
    running, *waiting = scores
    for score in waiting:
        score.cancel()
    await running
    assert 0 <= await turns.score(PAUSE) <= 1
    assert turns.waiting == 0


async def test_missing_weights_are_named(tmp_path: Path) -> None:
    engine = SmartTurn(tmp_path)
    with pytest.raises(Unavailable, match="nur models pull"):
        await engine.score(PAUSE)
    await engine.close()


async def test_it_loads_from_the_models_folder(models_dir: Path) -> None:
    engine = SmartTurn(models_dir)
    await engine.load()
    assert 0 <= await engine.score(PAUSE) <= 1
    await engine.close()
