import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.text.clauses import (
    LONGEST_CHARACTERS,
    UNBROKEN_CHARACTERS,
    ClauseSplitter,
)


def split(text: str) -> list[str]:
    splitter = ClauseSplitter()
    return splitter.feed(text) + splitter.finish()


def split_pieces(pieces: list[str]) -> list[str]:
    splitter = ClauseSplitter()
    clauses = [clause for piece in pieces for clause in splitter.feed(piece)]
    return clauses + splitter.finish()


def bare(text: str) -> list[str]:
    return [clause.strip() for clause in split(text)]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Hi! I am Nur.", ["Hi!", "I am Nur."]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("It is open (until 5.) Come by.", ["It is open (until 5.)", "Come by."]),
        ("**Sure!** Let me look.", ["**Sure!**", "Let me look."]),
        ("One line\nanother line\n", ["One line", "another line"]),
        ("You and I. The end.", ["You and I.", "The end."]),
        ("No. I do not.", ["No.", "I do not."]),
        ("We open at 5 p.m. Please come.", ["We open at 5 p.m.", "Please come."]),
        ("Well... I see.", ["Well...", "I see."]),
        ("Version 2.0. It is new.", ["Version 2.0.", "It is new."]),
        ("See example.com. It helps.", ["See example.com.", "It helps."]),
        ("Hola. ¿Qué tal? ¡Bien! Adiós.", ["Hola.", "¿Qué tal?", "¡Bien!", "Adiós."]),
        ("你好。你好吗？很好！再见。", ["你好。", "你好吗？", "很好！", "再见。"]),
        ("「はい。」次です。", ["「はい。」", "次です。"]),
        ("مرحبا. كيف حالك؟ أنا بخير.", ["مرحبا.", "كيف حالك؟", "أنا بخير."]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
        ("", []),
    ],
)
def test_sentences_are_clauses(text: str, clauses: list[str]) -> None:
    assert bare(text) == clauses


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("I can help you, of course I can.", "I can help you,"),
        ("Of course, I can help you with it.", "Of course, I can help you with it."),
        ("Unfortunately, we are closed.", "Unfortunately,"),
        ("Here it is: a list.", "Here it is:"),
        ("We are open; come in.", "We are open;"),
        ("We are open - come in.", "We are open -"),
        ("We are open — come in.", "We are open —"),
        ("We are open—come in.", "We are open—come in."),
        ("A well-known part - ok.", "A well-known part -"),
        ("We are open… come in.", "We are open…"),
        ("好的没问题，我来帮你看看。", "好的没问题，"),
        ("بالتأكيد يمكنني، سأساعدك.", "بالتأكيد يمكنني،"),
    ],
)
def test_the_first_clause_may_end_at_a_comma(text: str, first: str) -> None:
    assert bare(text)[0] == first


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith and Mrs. Jones are here.",
        "Bring fruit, e.g. apples.",
        "Ask St. Mary or St. John.",
        "The U.S. Government and the U.K. agree.",
        "From 9 a.m. to 5 p.m. on Monday.",
        "It is No. 5 on the list.",
        "Pi is 3.14 or so.",
        "It costs 1,200 dollars.",
        "At 4:30 today.",
        "See https://example.com/a.b?c=d,e;f:g now.",
        "Write to john.doe@example.com today.",
        "Hm... maybe.",
        "1. Apples",
        "- Apples",
        "a. Apples",
        "J. R. R. Tolkien wrote it.",
        "Version v1.2.3 is out.",
        "It was on Nov. 20, 2026 I think.",
        "On May 5, 2026 we met.",
        "Approx. 5 people vs. 6.",
        "Martin Luther King Jr. spoke.",
        "It is 3 - 5 days long.",
        "Bring a pen, paper, etc. with you.",
        'He asked "why?" and left.',
        "Room (on the left, by the door) is free.",
        "[our prices, all of them](https://x.com) here.",
    ],
)
def test_what_belongs_together_stays_together(text: str) -> None:
    assert bare(f"So.\n{text}") == ["So.", text]


def test_later_clauses_end_at_a_comma_only_when_long() -> None:
    half = "This is a rather long sentence with many words in its first half,"
    assert bare(f"Yes. {half} and some more.") == ["Yes.", half, "and some more."]
    assert bare("Yes. It is short, and so on.") == ["Yes.", "It is short, and so on."]


def test_a_clause_waits_for_the_space_behind_its_mark() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("It costs 3.") == []
    assert splitter.feed("5 dollars.") == []
    assert splitter.feed(" ") == ["It costs 3.5 dollars."]


def test_an_ambiguous_point_waits_for_the_next_word() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("No. ") == []
    assert splitter.feed("I") == ["No."]


def test_a_sentence_without_marks_is_cut_at_a_space() -> None:
    clauses = split("word " * 100)
    assert all(len(clause) <= LONGEST_CHARACTERS + 5 for clause in clauses)
    assert all(clause.strip().endswith("word") for clause in clauses)


@pytest.mark.parametrize("character", ["a", ".", "-", ",", " ", "\n", '"', "\u200b", "字"])
def test_no_input_is_held_back_for_ever(character: str) -> None:
    splitter = ClauseSplitter()
    out = [clause for _ in range(1000) for clause in splitter.feed(f"{character}{character}")]
    assert max(map(len, out)) <= UNBROKEN_CHARACTERS
    assert 2000 - len("".join(out)) <= UNBROKEN_CHARACTERS


PIECES = (
    'Dr. |Hello|, |. |.|3|,|5|: |U.S.| |\n|No. |e.g. |- |1. |...|…|? |!|"|)|(| — |。|，|你好|Nov. '
    "|I |The |a.m. |etc. |word |https://a.b/c |¿|؟ |[|]|{|}|*|`|averylongwordindeed"
)
PROSE = st.lists(st.sampled_from(PIECES.split("|")), max_size=80).map("".join)


@given(st.data())
def test_clauses_do_not_depend_on_how_the_input_is_cut(data: st.DataObject) -> None:
    text = data.draw(st.one_of(PROSE, st.text(max_size=600)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split_pieces(pieces) == split(text)


@given(st.one_of(PROSE, st.text(max_size=900)))
def test_one_character_at_a_time_gives_the_same_clauses_and_loses_nothing(text: str) -> None:
    clauses = split_pieces(list(text))
    assert "".join(clauses) == text
    assert clauses == split(text)
    assert all(clauses)
