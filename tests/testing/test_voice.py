"""The scripted caller's voice, and the engines that understand it."""

import asyncio

import numpy as np
import pytest

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderUnreachable
from nur_server.ports import ListenOptions, Transcript
from nur_server.providers.scripted import level_db
from nur_server.testing import Trouble, Voice, VoiceRecogniser, VoiceTurnModel, virtual_time


def test_what_is_said_can_be_read_back() -> None:
    voice = Voice()
    audio = np.concatenate([voice.say("No, no, not that one."), voice.say("The other.")])
    assert voice.read(audio) == "No, no, not that one. The other."


def test_a_word_cut_in_half_is_not_understood() -> None:
    voice = Voice()
    audio = voice.say("one two three four", seconds=4.0)
    assert voice.read(audio[: int(2.4 * 16_000)]) == "one two"
    assert voice.read(audio[int(1.6 * 16_000) :]) == "three four"


def test_silence_and_noise_have_no_words() -> None:
    voice = Voice()
    assert voice.read(np.zeros(1000, np.int16)) == ""
    assert voice.read(voice.noise(0.5)) == ""
    assert voice.read(np.zeros(0, np.int16)) == ""


def test_somebody_further_away_is_fainter() -> None:
    voice = Voice()
    near, far = voice.say("hello"), voice.say("hello", faint=True)
    assert level_db(near) - level_db(far) > 12
    assert voice.read(far) == "hello"


async def _hypotheses(recogniser: VoiceRecogniser, audio: UtteranceAudio) -> list[Transcript]:
    return [t async for t in recogniser.transcribe(audio, ListenOptions())]


async def test_the_recogniser_gives_partials_at_pauses_and_a_final() -> None:
    voice = Voice()
    recogniser = VoiceRecogniser(voice, partial_seconds=60)
    with virtual_time():
        audio = UtteranceAudio()
        listening = asyncio.create_task(_hypotheses(recogniser, audio))
        audio.append(voice.say("The red"))
        await asyncio.sleep(1)
        audio.mark_pause()
        await asyncio.sleep(1)
        audio.append(voice.say("shoes."))
        audio.end()
        found = await listening
    assert [(t.text, t.is_final) for t in found] == [("The red", False), ("The red shoes.", True)]
    assert recogniser.open_utterances == 0


async def test_the_recogniser_fails_when_it_is_told_to() -> None:
    gone = ProviderUnreachable("gone", provider="stt")
    recogniser = VoiceRecogniser(Voice(), trouble=lambda number: Trouble(error=gone))
    audio = UtteranceAudio()
    audio.end()
    with virtual_time(), pytest.raises(ProviderUnreachable):
        await _hypotheses(recogniser, audio)


async def test_the_turn_model_goes_by_the_full_stop() -> None:
    voice = Voice()
    model = VoiceTurnModel(voice)
    with virtual_time():
        assert await model.score(voice.say("I am done.")) > 0.9
        assert await model.score(voice.say("I am")) < 0.5
