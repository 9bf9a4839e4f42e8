"""Whether who speaks over the first words of a reply goes on with their turn."""

from dataclasses import replace

import pytest

from nur_server.turn_taking import resumption
from nur_server.turn_taking.interruption import OverlapEvidence, Ruling

SPEAKING = OverlapEvidence(
    speech_ms=600,
    silence_ms=0,
    text="",
    is_text_current=False,
    away=0.0,
    agent_words="Let me look that up for you.",
    language="en",
)


@pytest.mark.parametrize(
    "text", ["four two.", "and the brown ones", "because I", "at seven if", "in my garden, I think"]
)
def test_words_that_go_on_take_the_floor(text: str) -> None:
    verdict = resumption.judge(replace(SPEAKING, text=text, text_ms=500))
    assert verdict is not None
    assert (verdict.ruling, verdict.reason) == (Ruling.YIELD, "resumed")


def test_the_agent_is_silent_before_there_are_words() -> None:
    assert resumption.judge(replace(SPEAKING, speech_ms=160)) is None
    verdict = resumption.judge(replace(SPEAKING, speech_ms=resumption.HOLD_MS))
    assert verdict is not None
    assert verdict.ruling is Ruling.HOLD


def test_a_sound_without_words_that_is_over_is_judged_as_any_overlap() -> None:
    assert resumption.judge(replace(SPEAKING, silence_ms=400, is_text_current=True)) is None


@pytest.mark.parametrize(
    "evidence",
    [
        replace(SPEAKING, text="mm-hm"),
        replace(SPEAKING, text="okay, great"),
        replace(SPEAKING, text="um"),
        replace(SPEAKING, text="stop, please stop"),
        replace(SPEAKING, text="look that up for you"),
        replace(SPEAKING, text="four two", away=1.2),
        replace(SPEAKING, text="Dinner is ready, are you coming?", away=0.9),
        replace(SPEAKING, text="Mum, I'm on the phone, not now."),
    ],
)
def test_what_is_no_continuation_is_judged_as_any_overlap(evidence: OverlapEvidence) -> None:
    assert resumption.judge(evidence) is None


@pytest.mark.parametrize("word", ["four", "yesterday", "please"])
def test_one_word_holds_the_agent_and_goes_on_once_it_is_over(word: str) -> None:
    speaking = resumption.judge(replace(SPEAKING, text=word))
    over = resumption.judge(replace(SPEAKING, text=word, silence_ms=400, is_text_current=True))
    assert speaking is not None
    assert over is not None
    assert (speaking.ruling, over.ruling) == (Ruling.HOLD, Ruling.YIELD)


@pytest.mark.parametrize("away", [0.0, 0.3, 0.6])
def test_the_users_own_voice_a_little_quieter_goes_on(away: float) -> None:
    verdict = resumption.judge(replace(SPEAKING, text="and the brown ones", away=away))
    assert verdict is not None
    assert verdict.reason == "resumed"
