"""Two synthesisers as one: the second speaks with the voices the first does not have."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from nur_server.ports import SpeakRequest, SpeechChunk, TextToSpeech, TextToSpeechCapabilities


class Polyglot:
    """`TextToSpeech` under the first one's name. A voice of the second is written
    `<its name>/<voice>`."""

    def __init__(self, first: TextToSpeech, second: TextToSpeech) -> None:
        self._first = first
        self.second = second
        self._prefix = f"{second.name}/"

    @property
    def name(self) -> str:
        return self._first.name

    @property
    def capabilities(self) -> TextToSpeechCapabilities:
        one, other = self._first.capabilities, self.second.capabilities
        return TextToSpeechCapabilities(
            gives_word_times=one.gives_word_times and other.gives_word_times,
            streams=one.streams and other.streams,
        )

    def second_voice(self, voice: str) -> str:
        """How to ask for a voice of the second."""
        return self._prefix + voice

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        engine = self._first
        if request.voice.startswith(self._prefix):
            engine = self.second
            request = replace(request, voice=request.voice.removeprefix(self._prefix))
        async with aclosing(engine.speak(request)) as chunks:
            async for chunk in chunks:
                yield chunk
