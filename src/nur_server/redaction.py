"""Secrets taken out of text that people read: reports, error messages, log lines."""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from nur_server.settings import Settings

HIDDEN = "***"
MIN_SECRET = 4
"""Characters of a secret that is looked for in free text. A shorter one is part of many words; it
is hidden where it stands in an address."""

PLACEHOLDER = "user:password@"
"""How messages write an address that is expected: nobody's secret."""
HARMLESS = frozenset({"api-version", "channel_binding", "host", "port", "region", "ssl", "sslmode"})
"""Parameters of addresses whose values are no secrets, and help to find a fault."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*[^\s'\"<>:;,.)]")
_HOST = re.compile(r"[^:]*(:\d*)?|\[[^\]]*\](:\d*)?")


def shown_address(address: str) -> str:
    """An address without its user, password, fragment, and the values of its query.

    A password may hold characters that should have been escaped: what is doubtful is hidden.
    """
    scheme, separator, rest = _split(address)
    place, mark, behind = _parts(rest)
    if "@" in place and not place.startswith(PLACEHOLDER):
        place = f"{HIDDEN}@{place.rpartition('@')[2]}"
    elif "@" not in place and not _HOST.fullmatch(place.partition("/")[0]):
        return f"{scheme}{separator}{HIDDEN}"
    if mark != "?":
        return f"{scheme}{separator}{place}"
    query = "&".join(map(_shown_parameter, behind.partition("#")[0].split("&")))
    return f"{scheme}{separator}{place}?{query}"


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with every address in it as `shown_address` has it, and without `secrets`."""
    text = _ADDRESS.sub(lambda found: shown_address(found.group()), text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every key, password and token of the settings: those inside addresses, too."""
    found: set[str] = set()
    values = [getattr(settings, name) for name in Settings.model_fields if name != "engines"]
    values += [value for engine in settings.engines for value in (engine.url, engine.key)]
    for value in values:
        is_secret = isinstance(value, SecretStr)
        written = value.get_secret_value() if is_secret else str(value)
        if "://" in written:
            found |= _secrets_in(written)
        elif is_secret:
            found.add(written)
    return frozenset(secret for secret in found if secret)


def _split(address: str) -> tuple[str, str, str]:
    scheme, separator, rest = address.partition("://")
    return (scheme, separator, rest) if separator else ("", "", address)


def _parts(rest: str) -> tuple[str, str, str]:
    """Host and path, the mark behind them, then the query or the fragment."""
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    return place, rest[len(place) : len(place) + 1], rest[len(place) + 1 :]


def _shown_parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    if name.lower() in HARMLESS:
        return part
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _secrets_in(address: str) -> set[str]:
    """The password and the values of the query, as they are written and as they are meant."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return set()
    written = {parts.password or ""} | {
        value or name
        for name, _, value in (part.partition("=") for part in parts.query.split("&"))
        if name.lower() not in HARMLESS
    }
    return written | {unquote(part) for part in written}
