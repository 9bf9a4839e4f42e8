"""Dates and times of day in English."""

import re

from nur_server.text.english_numbers import SMALL, below_hundred, cardinal, ordinal, year
from nur_server.text.rules import Rule


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MONTHS = _words(
    "January February March April May June July August September October November December"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")


def _month(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name[:3]))


def _date(month: int, day: int, in_year: int | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return _named_date(_MONTHS[month - 1], day, in_year)


def _named_date(month: str, day: int, in_year: int | None) -> str:
    spoken = f"{month} {ordinal(day)}"
    return f"{spoken}, {year(in_year)}" if in_year is not None else spoken


def _iso_date(found: re.Match[str]) -> str | None:
    date = _date(int(found["month"]), int(found["day"]), int(found["year"]))
    if date is None or found["hour"] is None:
        return date
    return f"{date}, at {_clock(found['hour'], found['minute'])}"


def _slashed_date(found: re.Match[str]) -> str | None:
    """Month first, unless only day first is possible."""
    month, day, in_year = (int(found[part]) for part in ("first", "second", "year"))
    if len(found["year"]) == 2:
        in_year += 2000
    return _date(month, day, in_year) or _date(day, month, in_year)


def _short_slashed_date(found: re.Match[str]) -> str | None:
    return _date(int(found["month"]), int(found["day"]), None)


def _month_first(found: re.Match[str]) -> str | None:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return None
    spoken = f"{_month(found['month'])} {ordinal(day)}"
    if found["to"]:
        spoken += f" to {ordinal(int(found['to']))}"
    return f"{spoken}, {year(int(found['year']))}" if found["year"] else spoken


def _day_first(found: re.Match[str]) -> str | None:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return None
    article = "" if found.string[: found.start()].lower().endswith("the ") else "the "
    spoken = f"{article}{ordinal(day)} of {_month(found['month'])}"
    return f"{spoken}, {year(int(found['year']))}" if found["year"] else spoken


def _clock(hour: str, minute: str | None) -> str:
    """A time on the 24-hour clock, or one whose half of the day follows."""
    hours, minutes = int(hour), int(minute or 0)
    if minutes == 0:
        return f"{cardinal(hours)} hundred" if hours > 12 else f"{cardinal(hours)} o'clock"
    return f"{cardinal(hours)} {f'oh {SMALL[minutes]}' if minutes < 10 else cardinal(minutes)}"


def _half_day_time(found: re.Match[str]) -> str | None:
    hour, minute = int(found["hour"]), found["minute"]
    if not 0 <= hour <= 23:
        return None
    clock = _clock(found["hour"], minute) if int(minute or 0) else cardinal(hour)
    return f"{clock} {found['half'].upper()}M{final_point(found)}"


def final_point(found: re.Match[str]) -> str:
    """The point to keep: one of an abbreviation that ends the text ends the sentence too."""
    is_last = not found.string[found.end() :].strip("\"'”’) ")
    return "." if found[0].endswith(".") and is_last else ""


def _time(found: re.Match[str]) -> str:
    spoken = _clock(found["hour"], found["minute"])
    return f"{spoken} and {cardinal(int(found['second']))} seconds" if found["second"] else spoken


def _weekday(found: re.Match[str]) -> str:
    return next(day for day in _DAYS if day.startswith(found["it"][:3]))


def _decade(found: re.Match[str]) -> str:
    decade = found["decade"]
    words = year(int(decade)) if len(decade) == 4 else below_hundred(int(decade))
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


DATES = (
    Rule(
        re.compile(
            r"(?<![\w-])(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
            r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::[0-9]{2}(?:\.[0-9]+)?)?"
            r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?(?![\w-])"
        ),
        _iso_date,
    ),
    Rule(
        re.compile(
            r"(?<![\w/.])(?P<first>[0-9]{1,2})[/.](?P<second>[0-9]{1,2})[/.]"
            r"(?P<year>(?:19|20)[0-9]{2}|(?<=/)[0-9]{2})(?![\w/]|\.[0-9])"
        ),
        _slashed_date,
    ),
    Rule(
        re.compile(
            r"(?i:\b(?:on|by|until|till|before|after|since|from|date|to|of)) "
            r"(?P<it>(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2}))(?![\w/]|\.[0-9])"
        ),
        _short_slashed_date,
    ),
    Rule(
        re.compile(
            rf"\b(?P<month>{_MONTH}) (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?"
            r"(?:\s?[-–]\s?(?P<to>[0-9]{1,2})(?:st|nd|rd|th)?)?"
            r"(?:,? (?P<year>(?:1[0-9]|20)[0-9]{2}))?(?![\w%:/]|[.,][0-9])"
        ),
        _month_first,
    ),
    Rule(
        re.compile(
            r"(?<![\w.,:/-])(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?(?: of)? "
            rf"(?P<month>{_MONTH})(?:,? (?P<year>(?:1[0-9]|20)[0-9]{{2}}))?(?!\w)"
        ),
        _day_first,
    ),
    Rule(
        re.compile(rf"\b(?P<month>{_MONTH}) (?P<year>(?:1[0-9]|20)[0-9]{{2}})(?![\w:/]|[.,][0-9])"),
        lambda found: f"{_month(found['month'])} {year(int(found['year']))}",
    ),
    Rule(
        re.compile(
            r"\b(?P<it>(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)"
            rf"(?=,? (?:{_MONTH} [0-9]|[0-9])|\s?[-–]\s?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b)"
        ),
        _weekday,
    ),
    Rule(
        re.compile(
            r"\b(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\.?\s?[-–]\s?"
            r"(?P<it>(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b)"
        ),
        _weekday,
    ),
    Rule(
        re.compile(
            r"(?<![\w:.,])(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-5][0-9]))?\s?"
            r"(?P<half>[AaPp])(?:\.\s?[Mm]\.|[Mm]\b)(?!\w)"
        ),
        _half_day_time,
    ),
    Rule(
        re.compile(
            r"(?<![\w:.,])(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
            r"(?::(?P<second>[0-5][0-9]))?(?![\w:])"
        ),
        _time,
    ),
    Rule(re.compile(r"(?<!\w)['’]?(?P<decade>(?:[12][0-9])?[1-9]0)['’]?s\b"), _decade),
)
