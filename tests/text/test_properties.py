"""Properties of text normalisation that hold for any answer of a model."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.text.clauses import ClauseSplitter
from nur_server.text.normalisation import SpokenClause, TextNormaliser

LANGUAGES = ("en", "de", "fr", "es", "it", "pt-BR", "ru", "hi", "zh", "ja", "ko", "nl", "tr")
SENTENCES = (
    "We open at nine.",
    "Wir öffnen um neun.",
    "Où êtes-vous ?",
    "¿Dónde está?",
    "Мы открыты.",
    "हम खुले हैं।",
    "我们九点开门。",
    "请带上您的票！",
    "切符をお持ちください。",
    "일찍 오세요.",
    "Please, come early, and bring your ticket with you.",
)
NAMES = (
    "ORD-12345678",
    "XK7P2Q",
    "task-20261",
    "user_48291",
    "4B",
    "14K",
    "0042",
    "+44 20 7946 0958",
    "01 23 45 67 89",
    "jo.doe42@example.com",
    "example.com/pay-2026",
    "report_2026.pdf",
    "v1.2.3",
    "192.168.0.1",
    "DE89 3704 0044 0532 0130 00",
    "550e8400-e29b-41d4-a716-446655440000",
    "$1,250.50",
    "16:05",
    "2026-11-20",
)
WORDS = st.from_regex(r"[A-Za-zÀ-ÖØ-öø-ÿа-яА-Яअ-ह一-龥ぁ-んァ-ン가-힣]{1,10}", fullmatch=True)


def clauses_of(text: str, language: str, cuts: list[int]) -> list[SpokenClause]:
    """The clauses of an answer that arrives in pieces cut at these places."""
    splitter, normaliser = ClauseSplitter(), TextNormaliser(language)
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    raw = [clause for start, end in pairwise(places) for clause in splitter.feed(text[start:end])]
    clauses = map(normaliser.clause, [*raw, *splitter.finish()])
    return [clause for clause in clauses if clause is not None]


def shown(clauses: list[SpokenClause]) -> str:
    return "".join(clause.gap + clause.written for clause in clauses)


def letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text))


PATIENT = settings(deadline=None)
"""The first text in a language compiles its patterns."""
CUTS = st.lists(st.integers(0, 300), max_size=6)


@PATIENT
@given(
    pieces=st.lists(st.one_of(st.sampled_from(NAMES), WORDS), min_size=1, max_size=8),
    gaps=st.sampled_from([" ", ", ", " – ", "; ", " (", ") "]),
    language=st.sampled_from(LANGUAGES),
    cuts=CUTS,
)
def test_no_letter_or_digit_of_a_plain_text_is_lost(
    pieces: list[str], gaps: str, language: str, cuts: list[int]
) -> None:
    text = f"It is {gaps.join(pieces)}, as I said."
    assert letters_and_digits(shown(clauses_of(text, language, cuts))) == letters_and_digits(text)


@PATIENT
@given(
    sentences=st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=8),
    spaced=st.lists(st.booleans(), min_size=8, max_size=8),
    language=st.sampled_from(LANGUAGES),
    cuts=CUTS,
)
def test_joined_clauses_are_the_whole_text(
    sentences: list[str], spaced: list[bool], language: str, cuts: list[int]
) -> None:
    text = sentences[0]
    for sentence, has_space in zip(sentences[1:], spaced, strict=False):
        wide = text[-1] in "。！" and sentence[0] > "\u3000"
        text += sentence if wide and not has_space else f" {sentence}"
    assert shown(clauses_of(text, language, cuts)) == text


@PATIENT
@given(
    text=st.lists(
        st.one_of(st.sampled_from([*NAMES, *SENTENCES, "*", "#", "**", "`", "[1]", "\n"]), WORDS),
        max_size=12,
    ).map(" ".join),
    language=st.sampled_from(LANGUAGES),
)
def test_the_words_of_a_clause_cover_it_and_are_in_order(text: str, language: str) -> None:
    for clause in clauses_of(text, language, []):
        assert "".join(word.text for word in clause.words) == "".join(clause.written.split())
        starts = [word.spoken_start for word in clause.words]
        assert starts == sorted(starts)


@PATIENT
@given(digits=st.from_regex(r"0[0-9]{2,9}", fullmatch=True), language=st.sampled_from(LANGUAGES))
def test_a_leading_zero_is_never_lost(digits: str, language: str) -> None:
    """Each digit is spoken apart, by its name or as a figure set apart by spaces."""
    (clause,) = clauses_of(f"A: {digits}", language, [])
    spoken = clause.spoken.replace(",", " ").split()
    assert len(spoken) == 1 + len(digits)
