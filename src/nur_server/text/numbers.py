"""How figures are said: numbers, dates, times, money, measures, phone numbers and ids.

English is spelled out here; for other languages numbers come from `num2words`, and everything else
stays as written.
"""

import re
from functools import partial

from nur_server.text.rules import Rule

# English numbers in words


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = _words("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = ("thousand", "million", "billion", "trillion")
_LARGEST = 10 ** (3 * (len(_SCALES) + 1))
"""From here on a number is said digit by digit."""
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """1234 → "one thousand two hundred thirty-four"."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= _LARGEST:
        return digits(str(number))
    words = []
    for scale in range(len(_SCALES), -1, -1):
        group = number // 1000**scale % 1000
        if group:
            words.append(_below_thousand(group))
            words.extend(_SCALES[scale - 1 : scale] if scale else ())
    return " ".join(words) or "zero"


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if rest:
        words.append(_below_hundred(rest))
    return " ".join(words)


def _below_hundred(number: int) -> str:
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]


def ordinal(number: int) -> str:
    """21 → "twenty-first"."""
    words = cardinal(number)
    stem = re.split(r"[ -]", words)[-1]
    if stem in _ORDINALS:
        last = _ORDINALS[stem]
    else:
        last = f"{stem[:-1]}ieth" if stem.endswith("y") else f"{stem}th"
    return words[: len(words) - len(stem)] + last


def digits(text: str) -> str:
    """Its figures one by one, without regard to anything between them."""
    return " ".join(_SMALL[int(character)] for character in text if character in "0123456789")


def year(number: int) -> str:
    """1984 → "nineteen eighty-four", 2005 → "two thousand five"."""
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{_below_hundred(century)} hundred"
    tail = f"oh {_SMALL[rest]}" if rest < 10 else _below_hundred(rest)
    return f"{_below_hundred(century)} {tail}"


def quantity(text: str) -> str:
    """ "1,200.50" → "one thousand two hundred point five zero"; "007" digit by digit."""
    whole, _, fraction = text.replace(",", "").partition(".")
    if len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0"):
        words = grouped_digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(fraction)}".strip() if fraction else words


def grouped_digits(text: str) -> str:
    """Digit by digit, with pauses where people make them: "5550199" → "five five five, zero …"."""
    sizes = _GROUPS.get(len(text)) or _even_groups(len(text))
    groups, start = [], 0
    for size in sizes:
        groups.append(digits(text[start : start + size]))
        start += size
    return ", ".join(groups)


_GROUPS = {5: (5,), 7: (3, 4), 8: (4, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4), 16: (4, 4, 4, 4)}


def _even_groups(length: int) -> list[int]:
    """Threes, with a four at the end instead of a single digit."""
    if length <= 4:
        return [length]
    threes, rest = divmod(length, 3)
    return [3] * (threes - 1) + [4] if rest == 1 else [3] * threes + ([rest] if rest else [])


_LONGEST_NUMBER = 15
"""Digits of the longest number said as one."""


# Dates and times

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
    return f"{cardinal(hours)} {f'oh {_SMALL[minutes]}' if minutes < 10 else cardinal(minutes)}"


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
    words = year(int(decade)) if len(decade) == 4 else _below_hundred(int(decade))
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


_DATES = (
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

# Money

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "USD": ("US dollar", "US dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "JPY": ("yen", "yen", "sen", "sen"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
}
_SYMBOL = "[$€£¥₹]"
_CODE = r"(?:USD|EUR|GBP|CAD|AUD|JPY|INR|CHF)"
_MAGNITUDES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "b": "billion",
    "bn": "billion",
    "t": "trillion",
    "tn": "trillion",
}
_MAGNITUDE = r"(?:\s?(?P<scale>[kKmMbBtT]n?|thousand|million|billion|trillion)\b)?"


def _money(found: re.Match[str]) -> str:
    amount = found["amount"]
    if re.fullmatch(r"[0-9]+,[0-9]{2}", amount):
        amount = amount.replace(",", ".")
    names = _CURRENCIES[found["currency"]]
    scale, upper = found["scale"], found.groupdict().get("upper")
    if scale:
        return f"{_span(amount, upper)} {_MAGNITUDES.get(scale.lower(), scale)} {names[1]}"
    if upper:
        return f"{_span(amount, upper)} {names[1]}"
    return _coins(amount, names)


def _span(amount: str, upper: str | None) -> str:
    return f"{quantity(amount)} to {quantity(upper)}" if upper else quantity(amount)


def _coins(amount: str, names: tuple[str, str, str, str]) -> str:
    """An amount as notes and coins, where it has whole coins."""
    whole, _, fraction = amount.partition(".")
    if len(fraction) > 2:
        return f"{quantity(amount)} {names[1]}"
    coins = int(fraction.ljust(2, "0")) if fraction else 0
    notes = f"{quantity(whole)} {names[0] if whole == '1' else names[1]}"
    change = f"{cardinal(coins)} {names[2] if coins == 1 else names[3]}"
    if coins == 0:
        return notes
    return change if whole == "0" else f"{notes} and {change}"


_PER = {"mo": "month", "yr": "year", "hr": "hour", "min": "minute"}
_MONEY = (
    Rule(
        re.compile(
            rf"(?<![\w$])(?:(?:US|CA|AU|NZ|A|C)(?=\$))?(?P<currency>{_SYMBOL}|{_CODE}(?=\s))\s?"
            rf"(?P<amount>[0-9]+,[0-9]{{2}}(?![0-9])|{_NUMBER})"
            rf"(?:\s?[-–]\s?{_SYMBOL}?(?P<upper>{_NUMBER}))?{_MAGNITUDE}(?!\w)"
        ),
        _money,
    ),
    Rule(
        re.compile(
            rf"(?<![\w.,:/-])(?P<amount>[0-9]+,[0-9]{{2}}(?![0-9])|{_NUMBER}){_MAGNITUDE}"
            rf"\s?(?P<currency>[€£]|{_CODE}\b)"
        ),
        _money,
    ),
    Rule(
        re.compile(
            r"(?<=[\w.])\s?(?P<it>/\s?(?P<per>month|year|hour|day|week|minute|second|person|night"
            r"|user|item|mo|yr|hr|min)\b)"
        ),
        lambda found: f" per {_PER.get(found['per'], found['per'])}",
    ),
)

# Phone numbers, codes and ids

_CONTEXT = (
    r"(?i:\b(?:order|number|account|acct|code|pin|id|confirmation|reference|ref|ticket|case"
    r"|invoice|tracking|zip|extension|ext|flight|card|serial|policy|member|membership|booking"
    r"|passcode|password|phone|routing|ending in|ends in|digits|dial|call|no)\b\.?)"
)
_CONTEXT_LINK = r"(?i:(?:\s*(?:number|no\.|code|id|is|was|are|at|ending in|#|:|nr\.?)){0,4}\s*)"


def _phone(found: re.Match[str]) -> str | None:
    text = found["it"]
    groups = re.findall(r"[0-9]+", text)
    count = sum(map(len, groups))
    is_marked = text[0] in "+(" or "(" in text
    is_dialled = (
        is_marked or re.search(r"[-.]", text) or _DIALLED.search(found.string, 0, found.start("it"))
    )
    is_years = len(groups) == 2 and len(groups[0]) == 4
    if not (7 <= count <= 15) or not is_dialled or (is_years and not is_marked):
        return None
    spoken = ", ".join(map(digits, groups))
    return f"plus {spoken}" if text[0] == "+" else spoken


_DIALLED = re.compile(r"(?i:\b(?:call|phone|number|dial|reach|text|fax|mobile|cell|at|is))\W*\Z")


def _code(found: re.Match[str]) -> str:
    return spell(found["it"])


def spell(text: str) -> str:
    """An id, character by character; its groups set apart; words in it kept."""
    groups = re.findall(r"[A-Za-z]+|[0-9]+", text)
    return _join_groups(text, groups)


def _join_groups(text: str, groups: list[str]) -> str:
    spoken, at = "", 0
    for group in groups:
        start = text.index(group, at)
        gap = ", " if spoken and start > at else " " if spoken else ""
        spoken += gap + _spell_group(group)
        at = start + len(group)
    return spoken


def _spell_group(group: str) -> str:
    if group[0] in "0123456789":
        return grouped_digits(group)
    return group if len(group) > 3 else " ".join(group)


def _hash_number(found: re.Match[str]) -> str:
    it = found["id"]
    is_count = it.isdigit() and len(it) < 4 and it[0] != "0"
    return f"number {cardinal(int(it)) if is_count else spell(it)}"


_IDS = (
    Rule(
        re.compile(r"(?<![\w.])(?P<it>(?:[0-9]{1,3}\.){3}[0-9]{1,3})(?![\w]|\.[0-9])"),
        lambda found: " dot ".join(map(digits, found["it"].split("."))),
    ),
    Rule(
        re.compile(r"(?<![\w-])(?P<it>[0-9]{4}(?:[ -][0-9]{4}){3})(?![\w-])"),
        lambda found: ", ".join(map(digits, re.split("[ -]", found["it"]))),
    ),
    Rule(
        re.compile(
            r"(?<![\w.,$€£+(-])(?P<it>(?:\+[0-9]{1,3}[\s.-]?|1[\s.-])?(?:\([0-9]{2,4}\)[\s.-]?)?"
            r"[0-9]{2,4}(?:[\s.-][0-9]{2,4}){1,4}|\+[0-9]{7,15})(?![\w]|[.,:/-][0-9])"
        ),
        _phone,
    ),
    Rule(
        re.compile(r"(?<!\w)#\s?(?P<id>(?:[A-Z]+-?)?[0-9][0-9A-Z]*(?:-[0-9A-Z]+)*)(?![\w-])"),
        _hash_number,
    ),
    Rule(
        re.compile(
            rf"{_CONTEXT}{_CONTEXT_LINK}(?P<it>[0-9]{{3,}}(?:-[0-9]+)*)(?![\w]|[.,:/-][0-9])"
        ),
        _code,
    ),
    Rule(re.compile(r"\b[A-Z]{2} (?P<it>[0-9]{5}(?:-[0-9]{4})?)(?![\w-])"), _code),
    Rule(
        re.compile(
            r"(?<![\w-])(?=[0-9-]*[A-Z])(?=(?:[A-Z-]*[0-9]){3})"
            r"(?P<it>[A-Z0-9]+(?:-[A-Z0-9]+)*)(?![\w-])"
        ),
        _code,
    ),
    Rule(
        re.compile(r"(?<![\w.-])(?P<it>[0-9]{1,2}(?:-[0-9]{1,2}){2,})(?![\w-])"),
        lambda found: ", ".join(map(quantity, found["it"].split("-"))),
    ),
)

# Measures and plain numbers

_UNITS = {
    "%": ("percent", "percent"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "m/s": ("meter per second", "meters per second"),
    "mph": ("mile per hour", "miles per hour"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "℃": ("degree Celsius", "degrees Celsius"),
    "℉": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters"),
    "m³": ("cubic meter", "cubic meters"),
    "sq ft": ("square foot", "square feet"),
    "sqft": ("square foot", "square feet"),
    "km": ("kilometer", "kilometers"),
    "m": ("meter", "meters"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "mi": ("mile", "miles"),
    "yd": ("yard", "yards"),
    "ft": ("foot", "feet"),
    "kg": ("kilogram", "kilograms"),
    "g": ("gram", "grams"),
    "mg": ("milligram", "milligrams"),
    "mcg": ("microgram", "micrograms"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "gal": ("gallon", "gallons"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "cl": ("centiliter", "centiliters"),
    "l": ("liter", "liters"),
    "L": ("liter", "liters"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "s": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"),
    "yrs": ("year", "years"),
    "KB": ("kilobyte", "kilobytes"),
    "kB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "kbps": ("kilobit per second", "kilobits per second"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "V": ("volt", "volts"),
    "kcal": ("kilocalorie", "kilocalories"),
    "dB": ("decibel", "decibels"),
    "x": ("times", "times"),
    "tsp": ("teaspoon", "teaspoons"),
    "tbsp": ("tablespoon", "tablespoons"),
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_BEFORE = r"(?<![\w.,])"
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_VULGAR = {
    "½": "half",
    "¼": "quarter",
    "¾": "three quarters",
    "⅓": "third",
    "⅔": "two thirds",
    "⅛": "eighth",
}


def _measure(found: re.Match[str]) -> str | None:
    amount = found["amount"]
    if found["unit"] in "WVL" and re.match(r"\. [A-Z0-9]", found.string[found.end() :]):
        return None
    singular, plural = _UNITS[found["unit"]]
    return f"{quantity(amount)} {singular if amount == '1' else plural}"


def _feet_and_inches(found: re.Match[str]) -> str:
    inches = f" {quantity(found['inches'])}" if found["inches"] else ""
    return f"{quantity(found['feet'])} {'foot' if inches else 'feet'}{inches}"


def _fraction(found: re.Match[str]) -> str | None:
    top, bottom = int(found["top"]), int(found["bottom"])
    whole = found["whole"]
    if bottom in (10, 100) and top <= bottom and not whole:
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if top >= bottom or not 2 <= bottom <= 9 or top == 0:
        return None if whole else f"{quantity(found['top'])} {quantity(found['bottom'])}"
    one, many = _DENOMINATORS.get(bottom, (ordinal(bottom), f"{ordinal(bottom)}s"))
    if whole:
        part = f"{_article(one) if top == 1 else cardinal(top)} {one if top == 1 else many}"
        return f"{quantity(whole)} and {part}"
    return f"{cardinal(top)} {one if top == 1 else many}"


def _article(noun: str) -> str:
    return "an" if noun.startswith("e") else "a"


def _vulgar_fraction(found: re.Match[str]) -> str:
    name = _VULGAR[found["part"]]
    if found["whole"]:
        article = "" if " " in name else f"{_article(name)} "
        return f"{quantity(found['whole'])} and {article}{name}"
    return name if " " in name else f"{_article(name)} {name}"


def _version(found: re.Match[str]) -> str:
    parts = " point ".join(map(quantity, found["parts"].split(".")))
    return f"version {parts}" if found["v"] else parts


def _scaled(found: re.Match[str]) -> str | None:
    if found[0] in ("4K", "8K"):
        return None
    return f"{quantity(found['amount'])} {_MAGNITUDES[found['scale'].lower()]}"


def _plain(found: re.Match[str]) -> str:
    text = found[0]
    is_long = text.isdigit() and len(text) >= 7 and not text.endswith("000")
    return grouped_digits(text) if is_long else quantity(text)


def _year(found: re.Match[str]) -> str:
    return year(int(found["it"]))


_COUNTED = (
    r"(?!\s+(?!(?:was|is|has|does|as|its|this|us)\b)(?:[a-z]+s|people|percent|million|thousand)\b)"
)
_YEAR_END = rf"(?![\w%°]|[.,:/][0-9]){_COUNTED}"
_MEASURES = (
    Rule(
        re.compile(
            rf"{_BEFORE}(?P<amount>{_NUMBER})\s?(?P<unit>{_UNIT})(?![\w/²³]|-[a-z])"
            r"(?:\.(?=\s[a-z]))?"
        ),
        _measure,
    ),
    Rule(
        re.compile(
            r"(?<![\w'])(?P<feet>[0-9]{1,2})['′](?:\s?(?P<inches>[0-9]{1,2})[\"″”]|(?![\w']))"
        ),
        _feet_and_inches,
    ),
    Rule(
        re.compile(
            r"(?<![\w.,/-])(?:(?P<whole>[0-9]{1,3})[ -])?(?P<top>[0-9]{1,3})/(?P<bottom>[0-9]{1,3})"
            r"(?![\w/]|\.[0-9])"
        ),
        _fraction,
    ),
    Rule(
        re.compile(rf"(?<![\w./])(?:(?P<whole>[0-9]{{1,3}})\s?)?(?P<part>[{''.join(_VULGAR)}])"),
        _vulgar_fraction,
    ),
    Rule(
        re.compile(r"(?<![\w.,])(?P<v>[vV])(?P<parts>[0-9]{1,6}(?:\.[0-9]{1,6})*)(?![\w]|\.[0-9])"),
        _version,
    ),
    Rule(
        re.compile(r"(?<![\w.,])(?P<v>)(?P<parts>[0-9]{1,6}(?:\.[0-9]{1,6}){2,})(?![\w]|\.[0-9])"),
        _version,
    ),
    Rule(
        re.compile(rf"{_BEFORE}(?P<amount>{_NUMBER})(?P<scale>k|K|M|B|bn|mn)\b"),
        _scaled,
    ),
    Rule(
        re.compile(
            rf"{_BEFORE}(?P<number>[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]{{1,15}})(?:st|nd|rd|th)\b"
        ),
        lambda found: ordinal(int(found["number"].replace(",", ""))),
    ),
    Rule(
        re.compile(
            r"(?i:\b(?:in|since|until|till|before|after|during|year|years|circa|born|spring|summer"
            r"|fall|autumn|winter|class of)) (?P<it>1[0-9]{3}|20[0-9]{2})" + _YEAR_END
        ),
        _year,
    ),
    Rule(re.compile(rf"(?<![\w.,:/+#])(?P<it>(?:19|20)[0-9]{{2}}){_YEAR_END}"), _year),
    Rule(
        re.compile(r"(?<=[0-9%°KkMm])\s?[–—-]\s?(?=[$€£]?[0-9])|(?<=\.m\.)\s?[–-]\s?(?=[0-9])"),
        lambda found: " to ",
    ),
    Rule(
        re.compile(r"(?<=\b[MTWFS][a-z]{2})(?:\.?)\s?[–-]\s?(?=(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b)"),
        lambda found: " to ",
    ),
    Rule(
        re.compile(rf"(?<![\w)%°.])(?P<it>[-−])(?={_SYMBOL}?\.?[0-9])"),
        lambda found: "minus ",
    ),
    Rule(re.compile(rf"(?<![\w)%°.])(?P<it>\+)(?={_SYMBOL}?\.?[0-9])"), lambda found: "plus "),
    Rule(
        re.compile(r"(?<![\w:.,])(?P<a>[0-9]{1,4}):(?P<b>[0-9]{1,4})(?![\w:])"),
        lambda found: f"{quantity(found['a'])} to {quantity(found['b'])}",
    ),
    Rule(re.compile(r"(?<![\w.])\.[0-9]+(?!\w)"), _plain),
    Rule(re.compile(rf"(?<![\w]){_NUMBER}(?![^\W_])"), _plain),
)

_ENGLISH = (*_DATES, *_MONEY, *_IDS, *_MEASURES)


# Other languages

_SPELLED_OUT = frozenset(
    _words(
        "ar ca cs da de es fa fi fr he hu id is it ja ko lt lv nl no pl pt pt_BR ro ru sk sl sr sv "
        "th uk vi"
    )
)
"""Languages whose whole numbers below 10⁹ `num2words` is known to say; with others it may hang."""
_POINTS = {"de": "Komma", "es": "coma", "fr": "virgule", "it": "virgola", "nl": "komma"} | {
    "pt": "vírgula",
    "pt_BR": "vírgula",
}
_PERCENT = {"de": "Prozent", "es": "por ciento", "fr": "pour cent", "it": "per cento"} | {
    "nl": "procent",
    "pt": "por cento",
    "pt_BR": "por cento",
}
_FOREIGN_NUMBER = re.compile(
    r"(?<![\w.,:/+-])(?P<whole>[0-9]{1,3}(?:[. ][0-9]{3})+|[0-9]+)(?:,(?P<fraction>[0-9]+))?"
    r"(?P<percent>\s?%)?(?![^\W_]|[.,:/-][0-9])"
)


def _foreign_rules(language: str) -> tuple[Rule, ...]:
    primary, _, region = language.replace("-", "_").partition("_")
    codes = (f"{primary.lower()}_{region.upper()}", primary.lower())
    code = next((code for code in codes if code in _SPELLED_OUT), None)
    if code is None:
        return ()
    return (Rule(_FOREIGN_NUMBER, partial(_say_foreign, code=code)),)


def _say_foreign(found: re.Match[str], code: str) -> str | None:
    whole, fraction = re.sub(r"[. ]", "", found["whole"]), found["fraction"]
    is_grouped = whole != found["whole"]
    has_more = is_grouped or fraction or found["percent"]
    if len(whole) > 9 or (has_more and code not in _POINTS):
        return None
    words = _foreign_cardinal(int(whole), code)
    if fraction:
        words += f" {_POINTS[code]} {' '.join(_foreign_cardinal(int(d), code) for d in fraction)}"
    return f"{words} {_PERCENT[code]}" if found["percent"] else words


def _foreign_cardinal(number: int, code: str) -> str:
    # Most servers speak English only, and it loads the rules of sixty languages.
    import num2words  # type: ignore[import-untyped]  # it ships no types

    is_hundreds = code == "de" and 1100 <= number < 2000
    return str(num2words.num2words(number, lang=code, to="year" if is_hundreds else "cardinal"))


def rules(language: str) -> tuple[Rule, ...]:
    """How the figures of a text in `language` (ISO 639-1, with or without a region) are said."""
    is_english = re.split(r"[-_]", language.lower(), maxsplit=1)[0] in ("en", "")
    return _ENGLISH if is_english else _foreign_rules(language)
