"""What is an interruption, row by row."""

from dataclasses import replace

import pytest

from nur_server.turn_taking.interruption import (
    OverlapEvidence,
    Ruling,
    judge,
    yield_ms,
)

AGENT = "We have running shoes, walking shoes and hiking boots in all sizes."


def overlap(
    text: str = "",
    speech_ms: int = 600,
    silence_ms: int = 0,
    away: float = 0.0,
    *,
    current: bool = True,
    text_ms: int | None = None,
) -> OverlapEvidence:
    covered = speech_ms if text_ms is None else text_ms
    return OverlapEvidence(speech_ms, silence_ms, text, current, away, AGENT, "en", covered)


FAR = 1.2


@pytest.mark.parametrize(
    ("given", "ruling", "reason"),
    [
        (overlap("Stop it", 500), Ruling.YIELD, "stop_command"),
        (overlap("The brown ones instead", 700, 400), Ruling.YIELD, "words"),
        (overlap("What about the sandals"), Ruling.HOLD, "few_words"),
        (overlap("What about", 500), Ruling.LISTEN, "few_words"),
        (overlap("What about", 700), Ruling.HOLD, "few_words"),
        (overlap("What about", 1200), Ruling.YIELD, "words"),
        (overlap("Mm-hmm", 400), Ruling.DISREGARD, "backchannel"),
        (overlap("Mm-hmm", 400, 400), Ruling.CARRY_ON, "backchannel"),
        (overlap("uh", 300, 400), Ruling.CARRY_ON, "vocal_tic"),
        (overlap("hiking boots in all", 900), Ruling.DISREGARD, "echo"),
        (overlap("hiking boots in all", 900, 400), Ruling.CARRY_ON, "echo"),
        (overlap("can you close the door", 900, 0, FAR), Ruling.DISREGARD, "aside"),
        (overlap("can you close the door", 900, 400, FAR), Ruling.CARRY_ON, "aside"),
        (overlap("", 900, 400, FAR), Ruling.CARRY_ON, "aside"),
        (overlap("how long does that take", 900, 0, 0.5), Ruling.HOLD, "few_words"),
        (overlap("what does the second one cost", 900, 0, 0.8), Ruling.HOLD, "few_words"),
        (overlap("put the kettle on", 900, 0, 0.9), Ruling.DISREGARD, "aside"),
        (overlap("did you put it there", 1300, 0, 0.0), Ruling.LISTEN, "few_words"),
        (overlap("did you put it there", 2600, 0, 0.0), Ruling.YIELD, "words"),
        (overlap("hold on a second", 900, 400, 2.0), Ruling.YIELD, "stop_command"),
        (overlap("Honey, can you close the door", 900), Ruling.DISREGARD, "aside"),
        (overlap("Hang on, I'll call you back, Mum", 900), Ruling.DISREGARD, "aside"),
        (overlap("I'll be with you in a minute", 1300, 400), Ruling.CARRY_ON, "aside"),
        (overlap("Thank you, goodbye", 1300, 400), Ruling.YIELD, "words"),
        (overlap("", 150), Ruling.LISTEN, "short_speech"),
        (overlap("", 2000, current=False), Ruling.HOLD, "long_speech"),
        (overlap("", 300, 400), Ruling.CARRY_ON, "no_words"),
        (overlap("", 1200, 400), Ruling.CARRY_ON, "no_words"),
        (overlap("", 2000, 400), Ruling.YIELD, "long_speech"),
    ],
)
def test_an_overlap_is_judged_by_its_evidence(
    given: OverlapEvidence, ruling: Ruling, reason: str
) -> None:
    verdict = judge(given, threshold=0.5, delay_ms=0)
    assert (verdict.ruling, verdict.reason) == (ruling, reason)


@pytest.mark.parametrize("away", [0.0, 0.7, 1.3, 5.0])
@pytest.mark.parametrize(
    "text",
    [
        "Stop, please stop. I have another question.",
        "Wait",
        "Hold on a second, put that down please",
        "Okay stop, I'll call you back later",
        "Hey, stop it there, you're too loud",
        "Espera",
    ],
)
def test_a_stop_command_yields_however_far_the_voice_is(text: str, away: float) -> None:
    language = "es" if text == "Espera" else "en"
    for silence_ms in (0, 400):
        given = replace(overlap(text, 900, silence_ms, away), language=language)
        verdict = judge(given, threshold=0.5, delay_ms=0)
        assert (verdict.ruling, verdict.reason) == (Ruling.YIELD, "stop_command")


@pytest.mark.parametrize("text", ["Tomorrow.", "For four people.", "Yes.", "Seven thirty."])
def test_the_answer_to_a_question_just_asked_takes_the_floor_from_anywhere(text: str) -> None:
    given = replace(overlap(text, 700, 400, 3.0), is_asked=True)
    verdict = judge(given, threshold=0.5, delay_ms=0)
    assert (verdict.ruling, verdict.reason) == (Ruling.YIELD, "answer")


@pytest.mark.parametrize("misheard", ["And?", "Thank you.", "God.", "Of her."])
def test_a_short_sound_that_nobody_follows_up_is_let_pass(misheard: str) -> None:
    verdict = judge(overlap(misheard, 400, 400), 0.5, 0)
    assert (verdict.ruling, verdict.reason) == (Ruling.CARRY_ON, "in_passing")


@pytest.mark.parametrize("text", ["No.", "Why?", "Hello?"])
def test_a_single_word_that_takes_the_floor_is_an_interruption(text: str) -> None:
    assert judge(overlap(text, 350, 400), 0.5, 0).ruling is Ruling.YIELD


def test_a_guess_at_the_first_word_is_not_yet_a_stop_command() -> None:
    guess = overlap("Let me.", 450, text_ms=200)
    assert judge(guess, 0.5, 0).ruling is Ruling.LISTEN


def test_at_zero_everything_yields_and_at_one_nothing_does() -> None:
    assert judge(overlap("mm-hmm", 64), 0.0, 0).ruling is Ruling.YIELD
    assert judge(overlap("stop", 5000), 1.0, 0).ruling is Ruling.CARRY_ON


def test_speech_within_the_delay_never_interrupts() -> None:
    assert judge(overlap("stop it", 300), 0.0, 500).ruling is Ruling.DISREGARD
    assert judge(overlap("stop it", 300, 400), 0.0, 500).ruling is Ruling.CARRY_ON
    assert judge(overlap("stop it", 600), 0.0, 500).ruling is Ruling.YIELD


def test_a_higher_threshold_takes_more_speech() -> None:
    takes = [yield_ms(threshold / 10) for threshold in range(1, 10)]
    assert takes == sorted(takes) and takes[0] < takes[-1]


@pytest.mark.parametrize("text", ["Yes.", "Mm-hmm.", "Tuesday.", "The blue one."])
def test_the_answer_to_an_open_question_takes_the_floor(text: str) -> None:
    asked = replace(overlap(text, 500, 400), is_asked=True)
    assert judge(asked, 0.5, 0).ruling is Ruling.YIELD
    assert judge(replace(asked, silence_ms=0), 0.5, 0).ruling is not Ruling.DISREGARD
