import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.text.english_numbers import (
    cardinal,
    digits,
    grouped_digits,
    ordinal,
    quantity,
    year,
)
from nur_server.text.numbers import rules
from nur_server.text.rules import read
from nur_server.text.spelling import Speller


def said(text: str, language: str = "en") -> str:
    """The text with its figures in words."""
    out, at = "", 0
    for reading in read(text, rules(language)):
        out += text[at : reading.start] + reading.spoken
        at = reading.end
    return out + text[at:]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty-two"),
        (100, "one hundred"),
        (101, "one hundred one"),
        (999, "nine hundred ninety-nine"),
        (1_000, "one thousand"),
        (1_234_567, "one million two hundred thirty-four thousand five hundred sixty-seven"),
        (2_000_000_001, "two billion one"),
        (-5, "minus five"),
        (10**15, "one zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero"),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (2, "second"),
        (3, "third"),
        (4, "fourth"),
        (5, "fifth"),
        (8, "eighth"),
        (9, "ninth"),
        (12, "twelfth"),
        (20, "twentieth"),
        (21, "twenty-first"),
        (100, "one hundredth"),
        (1_003, "one thousand third"),
    ],
)
def test_ordinals(number: int, words: str) -> None:
    assert ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1066, "ten sixty-six"),
        (1900, "nineteen hundred"),
        (1905, "nineteen oh five"),
        (1984, "nineteen eighty-four"),
        (2000, "two thousand"),
        (2005, "two thousand five"),
        (2010, "twenty ten"),
        (2026, "twenty twenty-six"),
        (476, "four hundred seventy-six"),
    ],
)
def test_years(number: int, words: str) -> None:
    assert year(number) == words


def test_digits_ids_and_quantities() -> None:
    assert digits("40-2") == "four zero two"
    assert grouped_digits("5550199") == "five five five, zero one nine nine"
    assert grouped_digits("123456") == "one two three, four five six"
    assert Speller("en", "slash").spell("AB-12") == "A B, one two"
    assert Speller("en", "slash").spell("ORDER-7") == "ORDER, seven"
    assert quantity("1,200.50") == "one thousand two hundred point five zero"
    assert quantity("007") == "zero zero seven"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        # plain numbers
        ("I have 5 of 21.", "I have five of twenty-one."),
        (
            "1,234 or 0.5 or .5",
            "one thousand two hundred thirty-four or zero point five or point five",
        ),
        ("3.14", "three point one four"),
        ("-5 to +5", "minus five to plus five"),
        ("1000000", "one million"),
        ("agent 007", "agent zero zero seven"),
        ("123456789", "one two three, four five six, seven eight nine"),
        ("MP3 and B2B and 4K", "MP3 and B2B and 4K"),
        ("COVID-19", "COVID-nineteen"),
        # ordinals, fractions, ranges
        ("the 1st, 2nd, 3rd and 21st", "the first, second, third and twenty-first"),
        ("the 1,000th", "the one thousandth"),
        ("1/2 or 3/4", "one half or three quarters"),
        ("2/3 cup", "two thirds cup"),
        ("3 1/2 hours", "three and a half hours"),
        ("2½ or ¾", "two and a half or three quarters"),
        ("24/7", "twenty-four seven"),
        ("8/10", "eight out of ten"),
        ("3–5 days", "three to five days"),
        ("3-5 days", "three to five days"),
        ("3 - 5 days", "three to five days"),
        ("a 3:1 ratio", "a three to one ratio"),
        ("1-2-3", "one, two, three"),
        # years
        ("In 1984 it was", "In nineteen eighty-four it was"),
        ("since 1776", "since seventeen seventy-six"),
        ("by 2026.", "by twenty twenty-six."),
        ("2019–2021", "twenty nineteen to twenty twenty-one"),
        ("1950 calories", "one thousand nine hundred fifty calories"),
        ("1984 was good", "nineteen eighty-four was good"),
        ("1500 people", "one thousand five hundred people"),
        ("the 1990s and '80s", "the nineteen nineties and eighties"),
        # dates
        ("2026-11-20", "November twentieth, twenty twenty-six"),
        ("11/20/2026", "November twentieth, twenty twenty-six"),
        ("20/11/2026", "November twentieth, twenty twenty-six"),
        ("11/20/26", "November twentieth, twenty twenty-six"),
        ("20.11.2026", "November twentieth, twenty twenty-six"),
        ("99/99/2026", "ninety-nine/ninety-nine/two thousand twenty-six"),
        ("on 11/20", "on November twentieth"),
        ("2026-11-20T16:05:00Z", "November twentieth, twenty twenty-six, at sixteen oh five"),
        ("Nov 20", "November twentieth"),
        ("Nov. 20, 2026", "November twentieth, twenty twenty-six"),
        ("November 3rd", "November third"),
        ("Nov 20–22", "November twentieth to twenty-second"),
        ("20 November 2026", "the twentieth of November, twenty twenty-six"),
        ("the 20th of Nov.", "the twentieth of November"),
        ("March 2026", "March twenty twenty-six"),
        ("May 5", "May fifth"),
        ("you may 5 times", "you may five times"),
        ("Mon, Nov 20", "Monday, November twentieth"),
        ("Mon-Fri 9am-5pm", "Monday to Friday nine AM to five PM"),
        # times
        ("4:30 PM", "four thirty PM"),
        ("4:05pm", "four oh five PM"),
        ("4 p.m. today", "four PM today"),
        ("at 4 p.m.", "at four PM."),
        ("4:00 AM", "four AM"),
        ("16:05", "sixteen oh five"),
        ("16:00", "sixteen hundred"),
        ("9:00", "nine o'clock"),
        ("9:00–17:00", "nine o'clock to seventeen hundred"),
        ("16:05:30", "sixteen oh five and thirty seconds"),
        # money
        ("$4.50", "four dollars and fifty cents"),
        ("$1", "one dollar"),
        ("$1.01", "one dollar and one cent"),
        ("$0.99", "ninety-nine cents"),
        ("€1,200", "one thousand two hundred euros"),
        ("4,50 €", "four euros and fifty cents"),
        ("£3.01", "three pounds and one penny"),
        ("$5k", "five thousand dollars"),
        ("$3.5M", "three point five million dollars"),
        ("$2 billion", "two billion dollars"),
        ("-$5", "minus five dollars"),
        ("$10-$20", "ten to twenty dollars"),
        ("$10–20", "ten to twenty dollars"),
        ("50 USD", "fifty US dollars"),
        ("$20/month", "twenty dollars per month"),
        ("5k or 2M", "five thousand or two million"),
        # phone numbers, codes, ids
        ("555-0199", "five five five, zero one nine nine"),
        (
            "+1 (555) 123-4567",
            "plus one, five five five, one two three, four five six seven",
        ),
        ("555.123.4567", "five five five, one two three, four five six seven"),
        ("call 020 7946 0958", "call zero two zero, seven nine four six, zero nine five eight"),
        ("order 123456", "order one two three, four five six"),
        ("your code is 4821", "your code is four eight two one"),
        ("order #4521", "order number four five two one"),
        ("#5", "number five"),
        ("A1B2C3", "A one B two C three"),
        ("AB-1234", "A B, one two three four"),
        ("CA 94103", "CA nine four one zero three"),
        ("card ending in 4242", "card ending in four two four two"),
        (
            "4111 1111 1111 1111",
            "four one one one, one one one one, one one one one, one one one one",
        ),
        ("192.168.0.1", "one nine two dot one six eight dot zero dot one"),
        ("v1.2.3", "version one point two point three"),
        # measures
        ("5%", "five percent"),
        ("5–10%", "five to ten percent"),
        ("5 km", "five kilometers"),
        ("1 km", "one kilometer"),
        ("1.5kg", "one point five kilograms"),
        ("90 km/h", "ninety kilometers per hour"),
        ("20°C", "twenty degrees Celsius"),
        ("-4 °F", "minus four degrees Fahrenheit"),
        ("100 m²", "one hundred square meters"),
        ("16GB", "sixteen gigabytes"),
        ("5'10\"", "five foot ten"),
        ("10x", "ten times"),
        ("5 ft. tall", "five feet tall"),
        ("It is 5 kg. Then", "It is five kilograms. Then"),
        ("45 W. 21st St.", "forty-five W. twenty-first St."),
    ],
)
def test_english_figures(written: str, spoken: str) -> None:
    assert said(written) == spoken


@pytest.mark.parametrize(
    ("written", "language", "spoken"),
    [
        ("Son 25 euros", "es", "Son veinticinco euros"),
        ("1.200 y 3,5", "es-MX", "mil doscientos y tres coma cinco"),
        ("50 %", "es", "cincuenta por ciento"),
        ("80 ans", "fr", "quatre-vingts ans"),
        ("21 Tage", "de", "einundzwanzig Tage"),
        ("im Jahr 1984", "de", "im Jahr neunzehnhundertvierundachtzig"),
        ("16 dias", "pt-BR", "dezesseis dias"),
        ("28 giorni", "it", "ventotto giorni"),
        ("a las 16:05 el 11/12", "es", "a las 16:05 el 11/12"),
        ("25 个", "zh", "25 个"),
        ("25", "xx", "25"),
    ],
)
def test_figures_in_other_languages(written: str, language: str, spoken: str) -> None:
    assert said(written, language) == spoken


FIGURES = st.text(alphabet="0123456789.,:/-–$€%#+()' apmNovkK½²٣", max_size=60)


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(FIGURES, st.sampled_from(["en", "es", "de", "fr", "it", "pt", "ja"]))
def test_readings_are_in_order_and_apart(text: str, language: str) -> None:
    at = 0
    for reading in read(text, rules(language)):
        assert at <= reading.start < reading.end <= len(text)
        at = reading.end


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(FIGURES)
def test_english_leaves_no_figure_standing_alone(text: str) -> None:
    words = said(f" {text} ").split()
    assert not [word for word in words if word.isascii() and word.isdigit()]


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(st.integers(0, 10**18))
def test_any_number_is_said(number: int) -> None:
    assert not any(character.isdigit() for character in cardinal(number) + ordinal(number))
