"""Measures, fractions, versions, ranges and plain numbers in English."""

import re

from nur_server.text.english_money import MAGNITUDES, NUMBER, SYMBOL
from nur_server.text.english_numbers import cardinal, grouped_digits, ordinal, quantity, year
from nur_server.text.rules import Rule

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
UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
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
    """A letter behind a figure is an amount only where something says so, else part of a name."""
    amount, scale = found["amount"], found["scale"]
    if found[0] in ("4K", "8K"):
        return None
    before, after = found.string[: found.start()], found.string[found.end() :]
    is_amount = (
        scale in ("k", "bn", "mn")
        or "." in amount
        or _AMOUNT_BEFORE.search(before) is not None
        or _AMOUNT_BEHIND.match(after) is not None
    )
    if is_amount:
        return f"{quantity(amount)} {MAGNITUDES[scale.lower()]}"
    number = grouped_digits(amount) if len(amount) == HOUSE_DIGITS else quantity(amount)
    return f"{number} {scale}"


HOUSE_DIGITS = 3
"""Digits of a house number that is read one by one: "221B". Shorter ones are said as numbers."""
_AMOUNT_BEFORE = re.compile(
    r"(?i:\b(?:about|around|over|under|nearly|almost|roughly|approximately|than|up to|at least"
    r"|at most|raise[ds]?|earn(?:s|ed)?|makes?|made|costs?|paid|pays?|worth|sold|reach(?:ed|es)?"
    r"|budget of|salary of|revenue of|price of|total of|population of|some|another|extra"
    r"|[0-9.]+(?:k|m|b) (?:or|and|to))) ?\Z|[~≈><] ?\Z"
)
_AMOUNT_BEHIND = re.compile(
    r"\+|\s(?:(?!(?:was|is|has|does|as|its|this|us)\b)[a-z]+s|people|more|a (?:year|month|week|day)"
    r"|per|in (?:sales|revenue|funding|debt|cash))\b"
)


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
MEASURES = (
    Rule(
        re.compile(
            rf"{_BEFORE}(?P<amount>{NUMBER})\s?(?P<unit>{UNIT})(?![\w/²³]|-[a-z])"
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
        re.compile(rf"{_BEFORE}(?P<amount>{NUMBER})(?P<scale>k|K|M|B|bn|mn)\b"),
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
        re.compile(r"(?<![\w.-])(?P<it>[0-9]{1,2}(?:-[0-9]{1,2}){2,})(?![\w-])"),
        lambda found: ", ".join(map(quantity, found["it"].split("-"))),
    ),
    Rule(
        re.compile(r"(?<=[0-9%°KkMm])\s?[–—-]\s?(?=[$€£]?[0-9])|(?<=\.m\.)\s?[–-]\s?(?=[0-9])"),
        lambda found: " to ",
    ),
    Rule(
        re.compile(r"(?<=\b[MTWFS][a-z]{2})(?:\.?)\s?[–-]\s?(?=(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b)"),
        lambda found: " to ",
    ),
    Rule(
        re.compile(rf"(?<![\w)%°.])(?P<it>[-−])(?={SYMBOL}?\.?[0-9])"),
        lambda found: "minus ",
    ),
    Rule(re.compile(rf"(?<![\w)%°.])(?P<it>\+)(?={SYMBOL}?\.?[0-9])"), lambda found: "plus "),
    Rule(
        re.compile(r"(?<![\w:.,])(?P<a>[0-9]{1,4}):(?P<b>[0-9]{1,4})(?![\w:])"),
        lambda found: f"{quantity(found['a'])} to {quantity(found['b'])}",
    ),
    Rule(re.compile(r"(?<![\w.])\.[0-9]+(?!\w)"), _plain),
    Rule(re.compile(rf"(?<![\w]){NUMBER}(?![^\W_])"), _plain),
)
