"""Phone numbers: what one is, where it leads, and whether it costs extra.

ITU-T E.164, after the numbering plans in `phonenumbers`. NANP numbers of the forms `+1555…` and
`+1 NXX 555 01XX` are fictional: nobody can be reached at them, so only a simulated carrier may be
given one.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from nur_server.errors import InvalidRequest

_E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)
_FICTIONAL = re.compile(r"\+1(?:555\d{4}(?:\d{3})?|[2-9]\d{2}55501\d{2})\Z", re.ASCII)
_NO_COUNTRY = "001"
"""What `phonenumbers` calls the region of a number that belongs to no country."""
_SATELLITE = (870, 881, 882, 883)
"""Inmarsat, the global mobile satellite system, and the shared codes of international networks."""


class NumberKind(StrEnum):
    ORDINARY = "ordinary"
    FICTIONAL = "fictional"
    PREMIUM = "premium"
    """Premium rate, shared cost, personal numbers, pagers and company-wide numbers: whoever is
    called is paid for it, or may be."""
    SATELLITE = "satellite"
    GLOBAL = "global"
    """Numbers of no country, other than satellite: freephone, premium and conferencing."""


_PREMIUM = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.PAGER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number somebody could have."""

    e164: str
    kind: NumberKind
    country: str | None
    """ISO 3166-1 alpha-2. None: it belongs to no country."""


def read_number(text: str, param: str) -> Number:
    """Raises `InvalidRequest` (`invalid_phone_number`) for anything no numbering plan knows."""
    if not _E164.match(text):
        raise _invalid(text, param, "a number in E.164, such as +14155550123")
    if is_fictional(text):
        return Number(text, NumberKind.FICTIONAL, "US")
    try:
        parsed = phonenumbers.parse(text)
    except NumberParseException:
        raise _invalid(text, param, "a number with a country code that exists") from None
    code = parsed.country_code
    if code in _SATELLITE:
        return Number(text, NumberKind.SATELLITE, None)
    if not phonenumbers.is_valid_number(parsed):
        where = phonenumbers.region_code_for_country_code(code or 0)
        place = "" if where in (_NO_COUNTRY, "ZZ") else f" of {where} (+{code})"
        raise _invalid(text, param, f"a number that the numbering plan{place} knows")
    country = phonenumbers.region_code_for_number(parsed)
    if country is None or country == _NO_COUNTRY:
        return Number(text, NumberKind.GLOBAL, None)
    is_premium = phonenumbers.number_type(parsed) in _PREMIUM
    return Number(text, NumberKind.PREMIUM if is_premium else NumberKind.ORDINARY, country)


def is_fictional(number: str) -> bool:
    return _FICTIONAL.match(number) is not None


def _invalid(text: str, param: str, expected: str) -> InvalidRequest:
    return InvalidRequest(
        f"{param}: expected {expected}; got {text[:40]!r}",
        code="invalid_phone_number",
        param=param,
    )
