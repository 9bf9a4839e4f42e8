"""JSON that nests deeper than a reader descends is refused like any text that is no JSON."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from nur_server.errors import ProviderGarbled
from nur_server.providers import chat_answer, openai_speech, openai_transcriptions
from nur_server.providers.event_stream import ServerEvent
from nur_server.providers.openai_chat import OpenAIChat

DEEP = ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[" * 500_000]


def chat_chunk(text: str) -> object:
    return OpenAIChat._chunk(SimpleNamespace(_name="m"), ServerEvent("", text))  # type: ignore[arg-type]


def speech_event(text: str) -> object:
    return openai_speech._message(text, "m")


@pytest.mark.parametrize("text", DEEP, ids=["lists", "objects", "torn"])
@pytest.mark.parametrize("read", [chat_chunk, speech_event])
def test_a_model_server_that_nests_too_deep_is_garbled(
    read: Callable[[str], object], text: str
) -> None:
    with pytest.raises(ProviderGarbled):
        read(text)


@pytest.mark.parametrize("text", DEEP, ids=["lists", "objects", "torn"])
def test_deep_arguments_are_no_object_and_a_deep_transcript_is_text(text: str) -> None:
    assert not chat_answer._is_object(text)
    assert openai_transcriptions._parsed(text) == {"text": text}
