"""Lists of voices, as speech servers write them."""

from collections.abc import Iterator, Mapping
from typing import Any

from nur_server.ports import EngineVoice
from nur_server.text.languages import normalised

_NAMES = ("id", "voice_id", "name", "voice")
_LANGUAGES = ("language", "lang", "language_code", "locale")
_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}
MAX_DESCRIPTION = 200


def listed_voices(listing: Any) -> tuple[EngineVoice, ...]:
    """The voices in an answer of `GET /v1/audio/voices`: names, or objects with an id, bare or
    under `voices`, `uploaded_voices` or `data`. None where it is no such answer."""
    return tuple(voice for entry in _entries(listing) if (voice := _voice(entry)) is not None)


def _entries(listing: Any) -> Iterator[Any]:
    if isinstance(listing, list):
        yield from listing
    elif isinstance(listing, dict):
        for part in ("voices", "uploaded_voices", "data"):
            entries = listing.get(part)
            yield from entries if isinstance(entries, list) else ()


def _voice(entry: Any) -> EngineVoice | None:
    if isinstance(entry, str):
        return EngineVoice(entry)
    if not isinstance(entry, dict):
        return None
    name = _text(entry, *_NAMES)
    if name is None:
        return None
    described = _text(entry, "description") or _text(entry, "name") or ""
    return EngineVoice(
        name,
        language=_language(_text(entry, *_LANGUAGES)),
        gender=_GENDERS.get((_text(entry, "gender") or "").lower()),
        description=described[:MAX_DESCRIPTION],
    )


def _text(entry: Mapping[str, Any], *names: str) -> str | None:
    found = (entry.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)


def _language(tag: str | None) -> str | None:
    try:
        return normalised(tag) if tag is not None else None
    except ValueError:
        return None
