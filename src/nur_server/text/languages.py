"""Language tags (BCP 47), as they are given and in the one form in which they are kept.

`pt-BR`, `pt_br` and `por-BR` are one tag, `pt-BR`. A tag is a language with, where it matters, a
script and a region; variants and extensions are left out.
"""

import re
from collections.abc import Collection
from functools import lru_cache

ISO_639_1 = (
    "aa", "ab", "ae", "af", "ak", "am", "an", "ar", "as", "av", "ay", "az", "ba", "be", "bg",
    "bh", "bi", "bm", "bn", "bo", "br", "bs", "ca", "ce", "ch", "co", "cr", "cs", "cu", "cv",
    "cy", "da", "de", "dv", "dz", "ee", "el", "en", "eo", "es", "et", "eu", "fa", "ff", "fi",
    "fj", "fo", "fr", "fy", "ga", "gd", "gl", "gn", "gu", "gv", "ha", "he", "hi", "ho", "hr",
    "ht", "hu", "hy", "hz", "ia", "id", "ie", "ig", "ii", "ik", "io", "is", "it", "iu", "ja",
    "jv", "ka", "kg", "ki", "kj", "kk", "kl", "km", "kn", "ko", "kr", "ks", "ku", "kv", "kw",
    "ky", "la", "lb", "lg", "li", "ln", "lo", "lt", "lu", "lv", "mg", "mh", "mi", "mk", "ml",
    "mn", "mr", "ms", "mt", "my", "na", "nb", "nd", "ne", "ng", "nl", "nn", "no", "nr", "nv",
    "ny", "oc", "oj", "om", "or", "os", "pa", "pi", "pl", "ps", "pt", "qu", "rm", "rn", "ro",
    "ru", "rw", "sa", "sc", "sd", "se", "sg", "si", "sk", "sl", "sm", "sn", "so", "sq", "sr",
    "ss", "st", "su", "sv", "sw", "ta", "te", "tg", "th", "ti", "tk", "tl", "tn", "to", "tr",
    "ts", "tt", "tw", "ty", "ug", "uk", "ur", "uz", "ve", "vi", "vo", "wa", "wo", "xh", "yi",
    "yo", "za", "zh", "zu",
)  # fmt: skip
"""The two-letter codes of ISO 639-1 in force."""
FURTHER = ("ast", "ceb", "ckb", "haw", "kea", "luo", "nso", "umb", "yue")
"""Languages without a two-letter code that speech models know: those of the FLEURS corpus
(arXiv:2205.12446), and Hawaiian, which Whisper adds."""
LANGUAGES = (*ISO_639_1, *FURTHER)
"""The valid languages."""
PATTERN = rf"^({'|'.join(LANGUAGES)})(-[A-Z][a-z]{{3}})?(-([A-Z]{{2}}|[0-9]{{3}}))?$"
"""A tag in the form in which it is kept."""
MAX_LENGTH = 35
"""Characters of a tag: RFC 5646, section 4.4.1."""

_OTHERWISE = {"cmn": "zh", "fil": "tl", "arb": "ar", "pes": "fa", "zsm": "ms", "swh": "sw"}
"""Single languages that are known by the code of their group or of their older name."""
_CANONICAL = re.compile(PATTERN)
_NOT_A_REGION = "-UK"
"""Written for `-GB`, and reserved for that in ISO 3166-1."""


@lru_cache(maxsize=1024)
def normalised(tag: str) -> str:
    """The tag as it is kept: `pt-BR` for `pt_br`, `he` for `iw`, `zh` for `cmn`.

    Raises `ValueError`, which lists the valid languages, where it names none of them.
    """
    if _CANONICAL.fullmatch(tag) and not tag.endswith(_NOT_A_REGION):
        return tag
    language, script, region = _parts(tag)
    language = _OTHERWISE.get(language, language)
    if language not in LANGUAGES:
        raise ValueError(
            f"expected a language, with or without a region, such as en or pt-BR; got "
            f"{tag[:50]!r}; languages: {', '.join(LANGUAGES)}"
        )
    return "-".join(part for part in (language, script, region) if part)


def primary(tag: str) -> str:
    """The language of a tag, without its region: `pt` for `pt-BR`. Empty for an empty tag."""
    return re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]


def best_match(tag: str, offered: Collection[str]) -> str | None:
    """The tag of `offered` that serves one who asked for `tag`: the same, else the language
    without a region, else another region of it. None: the language is not offered."""
    wanted = tag.lower()
    by_tag = {each.lower(): each for each in offered}
    if wanted in by_tag:
        return by_tag[wanted]
    if primary(tag) in by_tag:
        return by_tag[primary(tag)]
    return next((each for each in offered if primary(each) == primary(tag)), None)


def _parts(tag: str) -> tuple[str, str, str]:
    """Language, script and region; empty where the tag has none or is no tag."""
    # Loads its tables of aliases, which tags in the usual form have no need of.
    from langcodes import Language
    from langcodes.tag_parser import LanguageTagError

    if len(tag) > MAX_LENGTH or not tag.isascii():
        return "", "", ""
    try:
        read = Language.get(tag.strip(), normalize=True)
    except LanguageTagError:
        return "", "", ""
    return read.language or "", read.script or "", read.territory or ""
