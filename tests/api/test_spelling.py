"""A name that is not there is answered with the one that was probably meant."""

import pytest

from nur_server.api.spelling import hint, meant

AGENT = ("name", "voice_id", "system_prompt", "first_message", "llm_model", "tools", "language")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("voice", "voice_id"),
        ("greeting", "first_message"),
        ("greeting_message", "first_message"),
        ("sytem_prompt", "system_prompt"),
        ("systemPrompt", "system_prompt"),
        ("prompt", "system_prompt"),
        ("firstMessage", "first_message"),
        ("tool", "tools"),
        ("langauge", "language"),
        ("model", "llm_model"),
    ],
)
def test_usual_slips(given: str, expected: str) -> None:
    assert meant(given, AGENT) == expected
    assert hint(given, AGENT) == f"did you mean {expected!r}?"


@pytest.mark.parametrize("given", ["x", "", "colour", "a" * 5000])
def test_what_is_like_nothing_lists_what_there_is(given: str) -> None:
    assert meant(given, AGENT) is None
    assert "voice_id" in hint(given, AGENT)
