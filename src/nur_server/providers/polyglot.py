"""Two synthesisers as one: the second speaks with the voices the first does not have."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from nur_server.ports import (
    EngineVoice,
    SpeakRequest,
    SpeechChunk,
    TextToSpeech,
    TextToSpeechCapabilities,
)


class Polyglot:
    """`TextToSpeech` under the first one's name. A voice of the second is written
    `<its name>/<voice>`, as its capabilities say."""

    def __init__(self, first: TextToSpeech, second: TextToSpeech) -> None:
        self._first = first
        self._second = second
        self._prefix = f"{second.name}/"

    @property
    def name(self) -> str:
        return self._first.name

    @property
    def capabilities(self) -> TextToSpeechCapabilities:
        one, other = self._first.capabilities, self._second.capabilities
        any_language = not one.languages or not other.languages
        return TextToSpeechCapabilities(
            languages=frozenset() if any_language else one.languages | other.languages,
            voices_of={**one.voices_of, self._second.name: self._prefix},
        )

    async def voices(self) -> tuple[EngineVoice, ...]:
        """Those of both, the second's as they are written here."""
        second = [replace(v, name=self._prefix + v.name) for v in await self._second.voices()]
        return (*await self._first.voices(), *second)

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        engine = self._first
        if request.voice.startswith(self._prefix):
            engine = self._second
            request = replace(request, voice=request.voice.removeprefix(self._prefix))
        async with aclosing(engine.speak(request)) as chunks:
            async for chunk in chunks:
                yield chunk
