"""Whole recordings, sent to a server at every pause."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator

import httpx2
import numpy as np
import pytest
from servers import Exchange, Handler, ScriptedServer, running

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderGarbled, ProviderRejected, ProviderTimeout
from nur_server.ports import ListenOptions, Transcript
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_transcriptions import OpenAITranscriptions

SECOND = np.arange(16_000, dtype=np.int16)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(2.0) as client:
        yield client


def hears(text: str) -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(json.dumps({"text": text}))

    return handler


def recogniser(server: ScriptedServer, client: httpx2.AsyncClient) -> OpenAITranscriptions:
    return OpenAITranscriptions(ModelServer(server.base_url, "whisper", "sk"), client)


def spoken(seconds: int = 1) -> UtteranceAudio:
    audio = UtteranceAudio()
    for _ in range(seconds):
        audio.append(SECOND)
    audio.end()
    return audio


async def transcripts(
    stt: OpenAITranscriptions, audio: UtteranceAudio, options: ListenOptions | None = None
) -> list[Transcript]:
    return [t async for t in stt.transcribe(audio, options or ListenOptions())]


async def test_a_whole_utterance_gives_one_final(client: httpx2.AsyncClient) -> None:
    async with running(hears("  hello  there ")) as server:
        heard = await transcripts(recogniser(server, client), spoken())
    assert heard == [Transcript("hello there", True, 16_000)]


async def test_the_request_is_what_servers_document(client: httpx2.AsyncClient) -> None:
    options = ListenOptions(language="de", keyterms=("Nur", "Moonshine"), prompt="A call.")
    async with running(hears("x")) as server:
        await transcripts(recogniser(server, client), spoken(), options)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/audio/transcriptions")
    assert asked.headers["authorization"] == "Bearer sk"
    assert asked.headers["content-type"].startswith("multipart/form-data")
    for field, value in [
        ("model", "whisper"),
        ("language", "de"),
        ("response_format", "json"),
        ("prompt", "A call. Nur, Moonshine"),
    ]:
        assert f'name="{field}"\r\n\r\n{value}\r\n'.encode() in asked.body
    with wave.open(io.BytesIO(asked.body[asked.body.index(b"RIFF") :])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(16_000) == SECOND.tobytes()


async def test_each_pause_asks_for_a_hypothesis_up_to_there(client: httpx2.AsyncClient) -> None:
    audio = UtteranceAudio()
    async with running(hears("one"), hears("one two"), hears("one two three")) as server:
        heard = recogniser(server, client).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        audio.mark_pause()
        assert await anext(heard) == Transcript("one", False, 16_000)
        audio.append(SECOND)
        audio.mark_pause()
        assert await anext(heard) == Transcript("one two", False, 32_000)
        audio.append(SECOND)
        audio.end()
        assert [t async for t in heard] == [Transcript("one two three", True, 48_000)]


async def test_nothing_is_asked_twice_when_the_end_is_the_pause(client: httpx2.AsyncClient) -> None:
    audio = UtteranceAudio()
    async with running(hears("one")) as server:
        heard = recogniser(server, client).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        audio.mark_pause()
        assert not (await anext(heard)).is_final
        audio.end()
        assert [t async for t in heard] == [Transcript("one", True, 16_000)]
    assert len(server.asked) == 1


async def test_an_overtaken_question_is_dropped(client: httpx2.AsyncClient) -> None:
    audio = UtteranceAudio()
    async with running(Exchange.hang, hears("one two")) as server:
        heard = recogniser(server, client).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        audio.mark_pause()
        first = asyncio.ensure_future(anext(heard))
        await server.was_asked.wait()
        audio.append(SECOND)
        audio.end()
        assert await first == Transcript("one two", True, 32_000)
        await heard.aclose()
        async with asyncio.timeout(2):
            await server.exchanges[0].was_aborted.wait()


async def test_no_partials_are_asked_for_when_none_are_wanted(client: httpx2.AsyncClient) -> None:
    audio = spoken()
    audio.mark_pause()
    async with running(hears("one")) as server:
        options = ListenOptions(wants_partials=False)
        heard = await transcripts(recogniser(server, client), audio, options)
    assert [t.is_final for t in heard] == [True]


async def test_a_failed_partial_does_not_end_the_utterance(client: httpx2.AsyncClient) -> None:
    async def fails(exchange: Exchange) -> None:
        await exchange.answer("{}", status=500)

    audio = UtteranceAudio()
    async with running(fails, hears("one two")) as server:
        heard = recogniser(server, client).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        audio.mark_pause()
        first = asyncio.ensure_future(anext(heard))
        await server.was_asked.wait()
        audio.append(SECOND)
        audio.end()
        assert await first == Transcript("one two", True, 32_000)


async def test_a_busy_server_is_asked_again_for_the_final(client: httpx2.AsyncClient) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.answer("{}", status=503)

    async with running(busy, hears("hello")) as server:
        heard = await transcripts(recogniser(server, client), spoken())
    assert heard[-1].text == "hello"


async def test_an_utterance_without_audio_needs_no_server(client: httpx2.AsyncClient) -> None:
    async with running() as server:
        heard = await transcripts(recogniser(server, client), spoken(0))
    assert heard == [Transcript("", True, 0)]
    assert server.asked == []


@pytest.mark.parametrize("body", ["<html>", "[]", '{"words": []}', '{"text": 3}'])
async def test_garbage_is_called_garbage(client: httpx2.AsyncClient, body: str) -> None:
    async def garbage(exchange: Exchange) -> None:
        await exchange.answer(body)

    async with running(garbage) as server:
        with pytest.raises(ProviderGarbled):
            await transcripts(recogniser(server, client), spoken())


async def test_a_refusal_is_raised(client: httpx2.AsyncClient) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.answer('{"error": "no such model"}', status=404)

    async with running(refuses) as server:
        with pytest.raises(ProviderRejected, match="404"):
            await transcripts(recogniser(server, client), spoken())


async def test_a_hanging_server_times_out(client: httpx2.AsyncClient) -> None:
    async with running(Exchange.hang) as server:
        stt = OpenAITranscriptions(
            ModelServer(server.base_url, "whisper"), client, answer_seconds=0.05
        )
        with pytest.raises(ProviderTimeout):
            await transcripts(stt, spoken())


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("prompt", "prompt is not supported"),
        ("language", "Extra inputs are not permitted: language"),
        ("response_format", "response_format 'json' is not compatible"),
        ("prompt", "Bad request"),
        ("language", "Bad request"),
    ],
)
async def test_a_refused_field_is_left_out_from_then_on(
    client: httpx2.AsyncClient, field: str, said: str
) -> None:
    async def strict(exchange: Exchange) -> None:
        if f'name="{field}"'.encode() in exchange.asked.body:
            await exchange.answer(f'{{"error": "{said}"}}', status=400)
        else:
            await exchange.answer('{"text": "Hello."}')

    async with running(strict) as server:
        stt = recogniser(server, client)
        for _ in range(2):
            heard = await transcripts(stt, spoken(), ListenOptions(prompt="Names: Ada."))
            assert heard[-1].text == "Hello."
    assert len(server.asked) <= 5


@pytest.mark.parametrize("body", ["Hello there.", '{"text": "Hello there."}', " Hello  there.\n"])
async def test_plain_text_is_a_transcript(client: httpx2.AsyncClient, body: str) -> None:
    async def plain(exchange: Exchange) -> None:
        await exchange.answer(body, kind="text/plain; charset=utf-8")

    async with running(plain) as server:
        heard = await transcripts(recogniser(server, client), spoken())
    assert heard[-1].text == "Hello there."
