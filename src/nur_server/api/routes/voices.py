"""`/v1/voices`: the voices an agent can have."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query

from nur_server.api.auth import Principal, require
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import VoiceObject
from nur_server.api.paging import Listing, WindowOf, envelope, page_of
from nur_server.api.services import Services, services_of
from nur_server.errors import InvalidRequest, NotFound
from nur_server.providers.voices import ALIASES, Voice
from nur_server.text import languages

router = APIRouter(prefix="/voices", tags=["Voices"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("voices:read")]


@router.get("", name="list_voices", responses=declared())
async def list_all(
    window: WindowOf,
    server: Server,
    _principal: Reader,
    language: Annotated[
        str | None,
        Query(
            max_length=languages.MAX_LENGTH,
            json_schema_extra={"pattern": languages.PATTERN, "examples": ["en", "pt-BR"]},
            description="BCP 47: ISO 639-1, with or without a region. Where no voice is of the "
            "region, the voices of the language.",
        ),
    ] = None,
    kind: Annotated[
        Literal["built-in", "vendor", "cloned"] | None,
        Query(alias="type", description="Where it is from."),
    ] = None,
) -> Listing[VoiceObject]:
    """Every voice, with the names from elsewhere that mean it."""
    known = [voice for voice in server.catalogue.voices() if kind in (None, _type(voice))]
    found = known if language is None else _speaking(known, language)
    return Listing[VoiceObject](**envelope(page_of(found, window), window, _shown))


@router.get("/{voice_id:path}", name="get_voice", responses=declared(404))
async def read(
    voice_id: Annotated[str, Path(max_length=200)], server: Server, _principal: Reader
) -> VoiceObject:
    """One voice, by its id or one of its aliases."""
    try:
        return _shown(server.catalogue.voice(voice_id))
    except InvalidRequest as error:
        raise NotFound(error.message, param="voice_id", details=error.details) from None


def _speaking(known: list[Voice], language: str) -> list[Voice]:
    """The voices of a region, or else those of the language. Raises `InvalidRequest`."""
    try:
        wanted = languages.normalised(language)
    except ValueError as error:
        details = {"languages": list(languages.LANGUAGES)}
        raise InvalidRequest(str(error), param="language", details=details) from None
    exact = [voice for voice in known if voice.language == wanted]
    if exact and wanted != languages.primary(wanted):
        return exact
    code = languages.primary(wanted)
    return [voice for voice in known if languages.primary(voice.language) == code]


def _type(voice: Voice) -> Literal["built-in", "vendor"]:
    return "built-in" if voice.model is None else "vendor"


def _shown(voice: Voice) -> VoiceObject:
    return VoiceObject(
        id=voice.id,
        name=voice.name,
        language=voice.language or None,
        gender=voice.gender or None,
        description=voice.description,
        type=_type(voice),
        model=voice.model,
        aliases=sorted(alias for alias, meant in ALIASES.items() if meant == voice.id),
    )
