"""From played milliseconds to heard words."""

import pytest

from nur_server.conversation.events import WordTime
from nur_server.conversation.response import (
    MAX_CHARACTERS,
    MS_PER_CHARACTER,
    Response,
    ResponsePhase,
    Trigger,
)

TEXT = "We sell shoes. They are red."


def response(text: str = TEXT) -> Response:
    made = Response("resp_1", "msg_1", Trigger.USER_SPEECH, ResponsePhase.THINKING, 0.0)
    made.write(text)
    made.finish_writing()
    return made


def heard(made: Response, played_ms: int) -> str:
    return "".join(word.text for word in made.play(played_ms)).strip()


def test_nothing_was_heard_before_anything_was_played() -> None:
    assert heard(response(), 0) == ""


def test_words_are_heard_in_the_share_of_their_clause_that_was_played() -> None:
    made = response("We sell shoes.")
    made.synthesised(0, 1400, ())
    assert heard(made, 700) == "We sell"
    assert made.heard_text == "We sell"
    assert made.unheard_text == "shoes."


def test_word_times_of_the_synthesiser_win() -> None:
    made = response("We sell shoes.")
    made.synthesised(0, 3000, (WordTime(0, 0), WordTime(3, 200), WordTime(8, 400)))
    assert heard(made, 390) == "We sell"


def test_word_times_beyond_the_audio_are_at_its_end() -> None:
    made = response()
    made.synthesised(0, 1000, (WordTime(0, 0), WordTime(3, 1300), WordTime(8, 2600)))
    made.synthesised(1, 1000, ())
    words = made.play(2000)
    assert [word.text for word in words] == ["We", " sell", " shoes.", " They", " are", " red."]
    assert [word.start_ms for word in words[:4]] == [0, 1000, 1000, 1000]


def test_each_word_is_told_once() -> None:
    made = response()
    told = [word.text for ms in range(0, 4000, 50) for word in made.play(ms)]
    assert "".join(told) == TEXT == made.heard_text


def test_all_words_are_told_when_all_was_played() -> None:
    made = response()
    made.play(100)
    made.play_all()
    assert made.heard_text == TEXT
    assert made.unheard_text == ""


def test_heard_words_are_never_taken_back() -> None:
    made = response("We sell shoes.")
    made.play(14 * MS_PER_CHARACTER)
    made.synthesised(0, 60_000, ())
    made.play(100)
    assert made.heard_text == "We sell shoes."


def test_words_carry_their_times_in_the_response() -> None:
    made = response()
    for number in range(len(made.clauses)):
        made.synthesised(number, 1000, ())
    words = made.play_all()
    assert words[0].start_ms == 0
    assert words[-1].end_ms == 1000 * len(made.clauses)
    assert [w.start_ms for w in words] == sorted(w.start_ms for w in words)


def test_markup_is_neither_said_nor_shown() -> None:
    made = response("**We** sell `shoes`. <tool_call>{}</tool_call>")
    made.play_all()
    assert made.heard_text == "We sell shoes."


def test_an_answer_without_end_is_noticed_and_cut() -> None:
    made = Response("resp_1", "msg_1", Trigger.USER_SPEECH, ResponsePhase.THINKING, 0.0)
    made.write("word " * MAX_CHARACTERS)
    made.finish_writing()
    assert made.is_too_long
    assert len(made.full_text) <= MAX_CHARACTERS


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_pieces_make_no_difference(piece: int) -> None:
    made = Response("resp_1", "msg_1", Trigger.USER_SPEECH, ResponsePhase.THINKING, 0.0)
    for start in range(0, len(TEXT), piece):
        made.write(TEXT[start : start + piece])
    made.finish_writing()
    assert made.full_text == TEXT
