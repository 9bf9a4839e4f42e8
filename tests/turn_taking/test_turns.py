"""How much silence ends a turn, row by row."""

from dataclasses import replace

import pytest

from nur_server.turn_taking.settings import TurnDetection
from nur_server.turn_taking.turns import (
    ANSWER_MS,
    CLOSING_MS,
    COMPLETE_MS,
    DICTATION_MS,
    LIKELY_MS,
    MID_THOUGHT_MS,
    NO_MODEL_OPEN_MS,
    NO_MODEL_SENTENCE_MS,
    QUESTION_MS,
    SURE_DOUBT_MS,
    UNSURE_MS,
    WORDLESS_MS,
    TurnEvidence,
    judge,
)
from nur_server.turn_taking.words import Expected, digits_asked

DEFAULT = TurnDetection()


def evidence(
    text: str = "Do you sell boots?",
    probability: float | None = 0.95,
    expects: Expected = Expected.NONE,
    *,
    current: bool = True,
    model: bool = True,
    confidence: float | None = None,
) -> TurnEvidence:
    return TurnEvidence(text, current, probability, expects, "en", model, confidence)


@pytest.mark.parametrize(
    ("given", "silence_ms", "reason"),
    [
        (evidence(), COMPLETE_MS, "turn_complete"),
        (evidence(probability=0.6), LIKELY_MS, "turn_likely"),
        (evidence(probability=0.6, confidence=0.7), UNSURE_MS, "turn_likely"),
        (evidence("Boots.", 0.2), UNSURE_MS, "short_turn"),
        (evidence("When do you open?", 0.2), QUESTION_MS, "question"),
        (evidence("When do you open?", 0.2, confidence=0.7), UNSURE_MS, "short_turn"),
        (evidence("Can you tell me if?", 0.2), MID_THOUGHT_MS, "function_word"),
        (evidence("Great, that is all I wanted to know.", 0.1), CLOSING_MS, "closing"),
        (evidence("Goodbye, and have a nice day.", 0.1), CLOSING_MS, "closing"),
        (evidence("Thank you for", 0.1), MID_THOUGHT_MS, "function_word"),
        (evidence("I want to buy shoes.", 0.2), MID_THOUGHT_MS, "turn_unlikely"),
        (evidence("I want to buy shoes", 0.2), MID_THOUGHT_MS, "turn_unlikely"),
        (evidence(probability=None), UNSURE_MS, "turn_model_pending"),
        (evidence("I want to buy shoes.", None, model=False), NO_MODEL_SENTENCE_MS, "sentence_end"),
        (evidence("I bought shoes", None, model=False), NO_MODEL_OPEN_MS, "silence"),
        (evidence("I want to buy the", 0.95), MID_THOUGHT_MS, "function_word"),
        (evidence("Well, let me think", 0.95), MID_THOUGHT_MS, "lead_in"),
        (evidence("um", 0.95), MID_THOUGHT_MS, "vocal_tic"),
        (evidence("", 0.95), WORDLESS_MS, "no_words"),
        (evidence("?", 0.95), WORDLESS_MS, "no_words"),
        (evidence("whatever", 0.95, current=False), UNSURE_MS, "transcript_pending"),
        (evidence("Yes.", 0.1, Expected.YES_NO), ANSWER_MS, "complete_answer"),
    ],
)
def test_the_silence_fits_what_was_said(given: TurnEvidence, silence_ms: int, reason: str) -> None:
    verdict = judge(given, DEFAULT)
    assert (verdict.silence_ms, verdict.reason) == (silence_ms, reason)


@pytest.mark.parametrize(
    "text",
    [
        "We need about.",
        "The problem is that.",
        "I would like to order.",
        "I have been thinking.",
        "Can you tell me?",
        "It was black and,",
        "So I have been looking for.",
        "A friend of mine said you.",
        "I do not know if they.",
        "It was a really small.",
        "How much do I?",
        "Is there?",
        "When can the engineer?",
        "I just received.",
        "I can only.",
        "It goes with my other.",
    ],
)
def test_a_full_stop_of_the_recogniser_ends_no_sentence_that_goes_on(text: str) -> None:
    assert judge(evidence(text, 0.97), DEFAULT).silence_ms == MID_THOUGHT_MS


@pytest.mark.parametrize(
    "text",
    [
        "I am not sure where it is.",
        "As soon as you can.",
        "It is too expensive for me.",
        "I told you everything I wanted to know.",
        "This is what I have been looking for.",
        "I heard you.",
        "It is rather small.",
        "How much is it?",
        "Where are they?",
        "Is there a discount?",
        "I received it.",
        "What do you sell?",
    ],
)
def test_a_last_word_that_may_end_a_sentence_does(text: str) -> None:
    assert judge(evidence(text, 0.97), DEFAULT).silence_ms == COMPLETE_MS


@pytest.mark.parametrize(
    ("probability", "confidence", "reason", "silence_ms"),
    [
        (0.95, 0.9, "turn_complete", COMPLETE_MS),
        (0.95, 0.75, "turn_complete", COMPLETE_MS),
        (0.97, 0.65, "words_doubtful", SURE_DOUBT_MS),
        (0.91, 0.65, "words_doubtful", MID_THOUGHT_MS),
        (0.85, 0.75, "words_doubtful", MID_THOUGHT_MS),
    ],
)
def test_words_that_are_likely_misheard_say_nothing_about_the_end(
    probability: float, confidence: float, reason: str, silence_ms: int
) -> None:
    verdict = judge(evidence(probability=probability, confidence=confidence), DEFAULT)
    assert (verdict.reason, verdict.silence_ms) == (reason, silence_ms)


def test_a_comma_of_the_recogniser_is_weighed_against_the_turn_model() -> None:
    assert judge(evidence("I live in Portland,", 0.97), DEFAULT).silence_ms == SURE_DOUBT_MS
    assert judge(evidence("I live in Portland,", 0.85), DEFAULT).silence_ms == UNSURE_MS
    assert judge(evidence("I live in Portland,", 0.3), DEFAULT).silence_ms == MID_THOUGHT_MS


@pytest.mark.parametrize(
    ("given", "silence_ms", "reason"),
    [
        (evidence("My number is four two seven", 0.3), MID_THOUGHT_MS, "number"),
        (evidence("My number is four two seven", None), DICTATION_MS, "number"),
        (evidence("It is four two seven", 0.95), UNSURE_MS, "number_complete"),
        (evidence("It is four two seven", 0.95, Expected.NUMBER), MID_THOUGHT_MS, "number"),
        (evidence("Where is order four two seven?", 0.95), COMPLETE_MS, "turn_complete"),
        (evidence("It is nine zero two one zero", 0.95), UNSURE_MS, "number_complete"),
        (evidence("four two", 0.95, Expected.NUMBER), MID_THOUGHT_MS, "number"),
        (evidence("02134 5567", 0.95, Expected.NUMBER), UNSURE_MS, "number_complete"),
        (evidence("They ordered them", 0.95, Expected.NUMBER), MID_THOUGHT_MS, "number"),
        (evidence("No idea where it is.", 0.95, Expected.NUMBER), COMPLETE_MS, "turn_complete"),
        (evidence("It is John dot", 0.95, Expected.SPELLING), MID_THOUGHT_MS, "spelling"),
        (
            evidence("john at example dot com", 0.95, Expected.SPELLING),
            UNSURE_MS,
            "spelling_complete",
        ),
        (evidence("I live at forty two", 0.95, Expected.OPEN), MID_THOUGHT_MS, "number"),
    ],
)
def test_numbers_and_spellings_are_waited_for(
    given: TurnEvidence, silence_ms: int, reason: str
) -> None:
    verdict = judge(given, DEFAULT)
    assert (verdict.silence_ms, verdict.reason) == (silence_ms, reason)


def test_min_silence_is_a_floor_and_max_silence_a_ceiling() -> None:
    assert judge(evidence(), TurnDetection(min_silence_ms=1000)).silence_ms == 1000
    waiting = evidence("I want to buy the")
    assert judge(waiting, TurnDetection(max_silence_ms=600)).silence_ms == 600


@pytest.mark.parametrize("text", ["um", "", "I want to buy the"])
def test_only_a_likely_end_is_worth_an_early_reply(text: str) -> None:
    assert judge(evidence(), DEFAULT).is_confident
    assert not judge(evidence(text), DEFAULT).is_confident


# Numbers


@pytest.mark.parametrize(
    "text",
    [
        "What is the status of order one, zero?",
        "What is the status of order one zero.",
        "It is order 1 0",
        "My code is four, two.",
        "Flight number seven three?",
        "I have 2 orders, the first is one zero.",
    ],
)
def test_digits_named_one_by_one_are_the_beginning_of_a_number(text: str) -> None:
    verdict = judge(evidence(text, 0.97), DEFAULT)
    assert verdict.reason == "number"
    assert verdict.silence_ms >= MID_THOUGHT_MS


@pytest.mark.parametrize(
    "text",
    [
        "What is the status of order 1042?",
        "What is the status of order one, zero, four, two?",
        "A table for two.",
        "I would like room 12.",
        "At ten thirty.",
        "There are five of us, and one dog.",
    ],
)
def test_whole_numbers_end_a_turn(text: str) -> None:
    verdict = judge(evidence(text, 0.97), DEFAULT)
    assert verdict.silence_ms <= UNSURE_MS, verdict


@pytest.mark.parametrize(
    ("text", "digits"),
    [("1042", 4), ("one zero four two", 4), ("A10B", 2), ("4-2-7", 3), ("one o four two", 4)],
)
def test_digits_are_counted_however_they_are_written(text: str, digits: int) -> None:
    asked = replace(evidence(text, 0.9, Expected.NUMBER), digits_asked=digits)
    assert judge(asked, DEFAULT).reason == "number_complete"
    longer = replace(asked, digits_asked=digits + 1)
    assert judge(longer, DEFAULT).reason == "number"


@pytest.mark.parametrize(
    ("question", "digits"),
    [
        ("What are the last four digits of your card?", 4),
        ("Please tell me your 6-digit code.", 6),
        ("Could you give me the five digit number?", 5),
        ("Can you read me the 16 digits on the front?", 16),
        ("What is your order number?", None),
        ("I found two numbers. Which one is yours?", None),
    ],
)
def test_the_length_asked_for_is_read_from_the_question(question: str, digits: int | None) -> None:
    assert digits_asked(question) == digits
