import langcodes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.text.languages import LANGUAGES, PATTERN, best_match, normalised, primary


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_of_the_registry(language: str) -> None:
    assert langcodes.tag_is_valid(language)
    assert normalised(language) == language


@pytest.mark.parametrize(
    ("tag", "kept"),
    [
        ("pt_br", "pt-BR"),
        ("por-BR", "pt-BR"),
        (" DE ", "de"),
        ("en-UK", "en-GB"),
        ("en-US-posix", "en-US"),
        ("iw", "he"),
        ("cmn-Hans-CN", "zh-Hans-CN"),
        ("fil", "tl"),
        ("es-419", "es-419"),
    ],
)
def test_a_tag_has_one_form(tag: str, kept: str) -> None:
    assert normalised(tag) == kept
    assert normalised(kept) == kept


@pytest.mark.parametrize(
    "tag", ["", " ", "xx", "xx-US", "e", "english", "en--us", "und", "en" * 30]
)
def test_what_names_no_language_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="languages: aa, ab"):
        normalised(tag)


@given(st.text(max_size=40))
def test_any_text_is_kept_in_the_documented_form_or_refused(text: str) -> None:
    import re

    try:
        kept = normalised(text)
    except ValueError:
        return
    assert re.search(PATTERN, kept) and primary(kept) in LANGUAGES


@pytest.mark.parametrize(
    ("tag", "offered", "served"),
    [
        ("pt-BR", ["pt", "pt-BR"], "pt-BR"),
        ("pt-BR", ["en", "pt"], "pt"),
        ("pt", ["en", "pt-BR"], "pt-BR"),
        ("pt-PT", ["pt-BR"], "pt-BR"),
        ("de", ["en", "dv"], None),
    ],
)
def test_a_region_falls_back_to_the_language(
    tag: str, offered: list[str], served: str | None
) -> None:
    assert best_match(tag, offered) == served
