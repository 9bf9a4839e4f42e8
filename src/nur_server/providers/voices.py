"""The voices of this server, and the names other systems' documents use for voices.

A voice is described once, with the name each engine has for it. An engine that is missing in
`engines` cannot speak with that voice: flite speaks English only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nur_server.errors import InvalidRequest
from nur_server.ports import EngineVoice
from nur_server.text.languages import primary

FLITE, ESPEAK, QWEN = "flite", "espeak-ng", "qwen3-tts"

DEFAULT = "hazel"
"""The voice of an agent that names none."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice an agent can have."""

    id: str
    name: str
    gender: str
    """`female` or `male`; empty: not known."""
    language: str
    """ISO 639-1, with a region where the accent differs: `en-US`; empty: not known, or many."""
    description: str
    engines: Mapping[str, str]
    """Text-to-speech engine to that engine's own voice."""
    model: str | None = None
    """The one text-to-speech engine whose own voice it is. None: a voice of this server's list."""


def _voice(
    id: str,
    gender: str,
    language: str,
    description: str,
    espeak: str,
    qwen: str,
    flite: str | None = None,
) -> Voice:
    engines = {ESPEAK: espeak, QWEN: qwen} | ({FLITE: flite} if flite is not None else {})
    return Voice(id, id.capitalize(), gender, language, description, MappingProxyType(engines))


_F, _M = "female", "male"

_ENGLISH = (
    _voice("hazel", _F, "en-US", "Clear, even", "en-us+f1:pitch=48", "serena", "slt"),
    _voice("wren", _F, "en-US", "Bright", "en-us+f3", "vivian", "slt:pitch=1.16,stretch=0.93"),
    _voice("juniper", _F, "en-US", "Low", "en-us+f4:pitch=38", "serena", "slt:pitch=0.87"),
    _voice("fern", _F, "en-US", "Light", "en-us+f2", "vivian", "slt:pitch=1.08,stretch=0.97"),
    _voice("isla", _F, "en-GB", "British", "en-gb-x-rp+f4", "serena", "slt:pitch=0.95"),
    _voice("rowan", _M, "en-US", "Warm, settled", "en-us+m3", "aiden", "rms"),
    _voice("heath", _M, "en-US", "Brisk", "en-us+m7:rate=178", "ryan", "rms:stretch=0.9"),
    _voice("flint", _M, "en-US", "Deep, slow", "en-us+m1:pitch=38,rate=150", "eric", "kal16"),
    _voice("robin", _M, "en-US", "Young", "en-us+m7:pitch=66", "ryan", "kal16:pitch=1.3"),
    _voice("glen", _M, "en-GB", "Scottish", "en-gb-scotland", "aiden", "awb"),
    _voice("alder", _M, "en-GB", "British, low", "en-gb-x-rp+m3", "dylan", "awb:pitch=0.86"),
)
_OTHER_LANGUAGES = (
    _voice("paloma", _F, "es", "Castilian Spanish", "es+f2", "serena"),
    _voice("cedro", _M, "es", "Castilian Spanish", "es+m3", "aiden"),
    _voice("luz", _F, "es-419", "Latin American Spanish", "es-419+f1", "vivian"),
    _voice("sol", _M, "es-419", "Latin American Spanish", "es-419+m7", "ryan"),
    _voice("colombe", _F, "fr", "French", "fr+f4", "serena"),
    _voice("sorbier", _M, "fr", "French", "fr+m3", "aiden"),
    _voice("rondine", _F, "it", "Italian", "it+f3", "vivian"),
    _voice("ulivo", _M, "it", "Italian", "it+m3", "ryan"),
    _voice("linde", _F, "de", "German", "de+f2", "serena"),
    _voice("falke", _M, "de", "German", "de+m3", "aiden"),
    _voice("gaivota", _F, "pt-BR", "Brazilian Portuguese", "pt-br+f2", "vivian"),
    _voice("cedrinho", _M, "pt-BR", "Brazilian Portuguese", "pt-br+m2", "ryan"),
    _voice("neem", _M, "hi", "Hindi", "hi+m3", "aiden"),
    _voice("kedr", _M, "ru", "Russian", "ru+m3", "ryan"),
    _voice("lian", _F, "zh", "Mandarin", "cmn+f2", "vivian"),
    _voice("sakura", _F, "ja", "Japanese", "ja+f2", "ono_anna"),
    _voice("kaede", _M, "ja", "Japanese", "ja+m3", "dylan"),
    _voice("dal", _F, "ko", "Korean", "ko+f2", "sohee"),
    _voice("byeol", _M, "ko", "Korean", "ko+m3", "ryan"),
)

VOICES: Mapping[str, Voice] = MappingProxyType(
    {voice.id: voice for voice in (*_ENGLISH, *_OTHER_LANGUAGES)}
)

_KNOWN_AS = {
    "hazel": "rachel_v2 claire grace anna jane mary ivy helen alloy",
    "wren": "nadia_v2 ember eve mia bella winter shimmer",
    "juniper": "marin dawn autumn martha vera sage",
    "fern": "brook iris sam coral nova",
    "isla": "alba emma eleanor sophie",
    "rowan": "marcus_v2 ash josh michael paul james david cedar",
    "heath": "slate pete reid tyler jack echo",
    "flint": "onyx victor",
    "robin": "kyle river ethan jean verse",
    "glen": "charles",
    "alder": "george oliver ballad fable",
    "paloma": "lola lucia",
    "cedro": "mateo",
    "sol": "diego",
    "colombe": "estelle",
    "sorbier": "pierre",
    "rondine": "giulia",
    "ulivo": "giovanni luca",
    "linde": "lena",
    "falke": "juergen lukas",
    "cedrinho": "rafael",
    "neem": "arjun",
    "kedr": "dmitri",
    "lian": "mei",
    "sakura": "hana",
    "kaede": "ren",
    "dal": "mina",
    "byeol": "joon",
}

ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: voice for voice, aliases in _KNOWN_AS.items() for alias in aliases.split()}
)
"""Voice names of other systems, each with the local voice that stands in for it."""


def known(voice_id: str) -> Voice | None:
    """The voice of this list with this id or alias, whatever its case."""
    wanted = voice_id.strip().lower()
    return VOICES.get(ALIASES.get(wanted, wanted))


def resolve(voice_id: str) -> Voice:
    """The same. Raises `InvalidRequest` for any other, and lists the valid ones."""
    voice = known(voice_id)
    if voice is None:
        raise InvalidRequest(
            f"expected a voice of this server, got {voice_id!r}; voices: {', '.join(VOICES)}; "
            f"also known as: {', '.join(sorted(ALIASES))}",
            param="voice_id",
            details={"voices": sorted(VOICES), "aliases": sorted(ALIASES)},
        )
    return voice


def of_engine(engine: str, own: EngineVoice) -> Voice:
    """An engine's own voice, under the id `<engine>/<its name>`."""
    return Voice(
        f"{engine}/{own.name}",
        own.name,
        own.gender or "",
        own.language or "",
        own.description,
        MappingProxyType({engine: own.name}),
        model=engine,
    )


def usual(language: str) -> str:
    """The id of the voice that speaks `language`, a tag, where none is asked for: a woman's."""
    default = VOICES[ALIASES.get(DEFAULT, DEFAULT)]
    if primary(language) == primary(default.language):
        return DEFAULT
    voice = next((v for v in VOICES.values() if v.language.lower() == language.lower()), None)
    voice = voice or for_language(language, default.gender)
    return DEFAULT if voice is None else voice.id


def for_language(language: str, gender: str) -> Voice | None:
    """The first voice that speaks `language` (ISO 639-1, a region is ignored), of `gender` if any.

    None when no voice speaks it.
    """
    code = primary(language)
    speaking = [voice for voice in VOICES.values() if primary(voice.language) == code]
    return next((v for v in speaking if v.gender == gender), next(iter(speaking), None))
