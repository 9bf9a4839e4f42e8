"""Amounts of money in English."""

import re

from nur_server.text.english_numbers import cardinal, quantity
from nur_server.text.rules import Rule

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
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
SYMBOL = "[$€£¥₹]"
_CURRENCY_CODE = r"(?:USD|EUR|GBP|CAD|AUD|JPY|INR|CHF)"
MAGNITUDES = {
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
        return f"{_span(amount, upper)} {MAGNITUDES.get(scale.lower(), scale)} {names[1]}"
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
MONEY = (
    Rule(
        re.compile(
            rf"(?<![\w$])(?:(?:US|CA|AU|NZ|A|C)(?=\$))?(?P<currency>{SYMBOL}|{_CURRENCY_CODE}(?=\s))\s?"
            rf"(?P<amount>[0-9]+,[0-9]{{2}}(?![0-9])|{NUMBER})"
            rf"(?:\s?[-–]\s?{SYMBOL}?(?P<upper>{NUMBER}))?{_MAGNITUDE}(?!\w)"
        ),
        _money,
    ),
    Rule(
        re.compile(
            rf"(?<![\w.,:/-])(?P<amount>[0-9]+,[0-9]{{2}}(?![0-9])|{NUMBER}){_MAGNITUDE}"
            rf"\s?(?P<currency>[€£]|{_CURRENCY_CODE}\b)"
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
