"""The speech adapter against every shape servers give audio in."""

import asyncio
import base64
import itertools
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from servers import Exchange, Handler, ScriptedServer, running

from nur_server.errors import (
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.ports import SpeakRequest, SpeechChunk
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_speech import OpenAISpeech

RAMP = np.arange(-600, 600, dtype=np.int16)
PCM = RAMP.tobytes()
CLAUSE = SpeakRequest("Hello there.", "vivian")


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(2.0) as client:
        yield client


def synthesiser(
    server: ScriptedServer, client: httpx2.AsyncClient, chunk_seconds: float = 2.0
) -> OpenAISpeech:
    model = ModelServer(server.base_url, "qwen3-tts", "sk")
    return OpenAISpeech(model, client, chunk_seconds=chunk_seconds)


async def speak(
    client: httpx2.AsyncClient, *handlers: Handler, request: SpeakRequest = CLAUSE
) -> list[SpeechChunk]:
    async with running(*handlers) as server:
        return [chunk async for chunk in synthesiser(server, client).speak(request)]


def streams(*pieces: bytes, kind: str = "audio/pcm", **headers: str) -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind=kind, **headers)
        for piece in pieces:
            await exchange.piece(piece)
            await asyncio.sleep(0.005)
        await exchange.end()

    return handler


def cut(data: bytes, *places: int) -> list[bytes]:
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def riff(
    data: bytes, rate: int = 22_050, channels: int = 1, bits: int = 16, coding: int = 1
) -> bytes:
    form = struct.pack("<HHIIHH", coding, channels, rate, rate * 2, 2 * channels, bits)
    info = b"LIST" + struct.pack("<I", 5) + b"odd!!\0"
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt "
        + struct.pack("<I", 16)
        + form
        + info
        + b"data\xff\xff\xff\xff"
        + data
    )


def assert_spoke(chunks: list[SpeechChunk], rate: int = 24_000) -> None:
    assert {chunk.sample_rate for chunk in chunks} == {rate}
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), RAMP)
    assert {chunk.samples.dtype for chunk in chunks} == {np.dtype(np.int16)}


async def test_raw_audio_is_handed_out_as_it_comes(client: httpx2.AsyncClient) -> None:
    chunks = await speak(client, streams(*cut(PCM, 400, 800)))
    assert_spoke(chunks)
    assert len(chunks) > 1


async def test_a_sample_cut_in_two_is_put_together(client: httpx2.AsyncClient) -> None:
    assert_spoke(await speak(client, streams(*cut(PCM, 1, 2, 401, 805, 1001))))


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("audio/pcm;rate=16000", {}),
        ("audio/L16; rate=16000; channels=1", {}),
        ("application/octet-stream", {"X_Sample_Rate": "16000"}),
    ],
)
async def test_the_rate_is_what_the_header_says(
    client: httpx2.AsyncClient, kind: str, headers: dict[str, str]
) -> None:
    assert_spoke(await speak(client, streams(PCM, kind=kind, **headers)), rate=16_000)


@pytest.mark.parametrize("kind", ["audio/wav", "audio/pcm", "application/octet-stream"])
async def test_a_wav_file_is_known_by_its_first_bytes(
    client: httpx2.AsyncClient, kind: str
) -> None:
    chunks = await speak(client, streams(*cut(riff(PCM), 2, 11, 30, 61, 200), kind=kind))
    assert_spoke(chunks, rate=22_050)


async def test_a_stereo_file_is_mixed_down(client: httpx2.AsyncClient) -> None:
    stereo = np.repeat(RAMP, 2).tobytes()
    assert_spoke(await speak(client, streams(*cut(riff(stereo, channels=2), 203))), rate=22_050)


@pytest.mark.parametrize(
    "file", [riff(PCM, bits=24), riff(PCM, coding=3), riff(PCM, channels=6), b"RIFF1234AVI "]
)
async def test_another_kind_of_file_is_refused(client: httpx2.AsyncClient, file: bytes) -> None:
    with pytest.raises(ProviderGarbled, match="WAV"):
        await speak(client, streams(file, kind="audio/wav"))


def events(*messages: object, named: str = "") -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for message in messages:
            await exchange.piece(f"{named}data: {json.dumps(message)}\n\n")
        await exchange.end()

    return handler


def delta(data: bytes) -> dict[str, str]:
    return {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}


async def test_events_carry_audio_too(client: httpx2.AsyncClient) -> None:
    answer = events(*map(delta, cut(PCM, 7, 400)), {"type": "speech.audio.done", "usage": {}})
    assert_spoke(await speak(client, answer))


async def test_an_error_among_events_is_reported(client: httpx2.AsyncClient) -> None:
    answer = events(
        delta(PCM), {"type": "speech.audio.error", "error": {"message": "out of memory"}}
    )
    with pytest.raises(ProviderRejected, match="reported an error") as caught:
        await speak(client, answer)
    assert not caught.value.retryable


@pytest.mark.parametrize("message", ["text", [1], {"audio": "!!!"}, {"audio": 7}])
async def test_garbled_events_are_called_garbage(
    client: httpx2.AsyncClient, message: object
) -> None:
    with pytest.raises(ProviderGarbled):
        await speak(client, events(message))


async def test_the_request_is_what_servers_document(client: httpx2.AsyncClient) -> None:
    async with running(streams(PCM)) as server:
        tts = synthesiser(server, client)
        _ = [chunk async for chunk in tts.speak(CLAUSE)]
        _ = [chunk async for chunk in tts.speak(SpeakRequest("Hallo.", "ryan", "de", 1.2))]
    first, second = server.asked
    assert (first.method, first.path) == ("POST", "/v1/audio/speech")
    assert first.headers["authorization"] == "Bearer sk"
    assert first.json == {
        "model": "qwen3-tts",
        "input": "Hello there.",
        "voice": "vivian",
        "language": "English",
        "response_format": "pcm",
        "stream": True,
        "stream_format": "audio",
    }
    # Qwen3-TTS streams at its own speed only.
    assert second.json == {
        "model": "qwen3-tts",
        "input": "Hallo.",
        "voice": "ryan",
        "language": "German",
        "response_format": "pcm",
        "speed": 1.2,
    }


async def test_a_strict_server_is_asked_without_the_extras(client: httpx2.AsyncClient) -> None:
    async def strict(exchange: Exchange) -> None:
        if "language" in exchange.asked.json:
            await exchange.answer('{"error": "unknown field"}', status=422)
        else:
            await streams(PCM)(exchange)

    async with running(strict) as server:
        tts = synthesiser(server, client)
        for _ in range(2):
            assert_spoke([chunk async for chunk in tts.speak(CLAUSE)])
    assert ["language" in asked.json for asked in server.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("stream_format", {"detail": [{"loc": ["stream_format"], "type": "extra_forbidden"}]}),
        ("stream", {"error": {"message": "Unknown parameter: 'stream'."}}),
        ("language", {"error": "language is not supported"}),
        ("speed", {"error": {"message": "no", "param": "speed"}}),
        ("speed", "Bad request"),
    ],
)  # fmt: skip
async def test_a_refused_field_is_left_out_from_then_on(
    client: httpx2.AsyncClient, field: str, said: object
) -> None:
    async def strict(exchange: Exchange) -> None:
        if field in exchange.asked.json:
            await exchange.answer(json.dumps(said), status=400)
        else:
            await streams(PCM)(exchange)

    clause = replace(CLAUSE, speed=1.2 if field == "speed" else 1.0)
    async with running(strict) as server:
        tts = synthesiser(server, client)
        for _ in range(2):
            assert_spoke([chunk async for chunk in tts.speak(clause)])
    assert field not in server.asked[-2].json
    assert "response_format" in server.asked[-1].json or said == "Bad request"


@pytest.mark.parametrize(
    "said", ["response_format must be one of mp3, wav", "Unsupported format: pcm", "no"]
)
async def test_a_server_without_raw_audio_is_asked_for_a_file(
    client: httpx2.AsyncClient, said: str
) -> None:
    async def strict(exchange: Exchange) -> None:
        if exchange.asked.json.get("response_format") == "pcm":
            await exchange.answer(json.dumps({"error": {"message": said}}), status=400)
        else:
            await streams(riff(PCM), kind="audio/wav")(exchange)

    async with running(strict) as server:
        tts = synthesiser(server, client)
        for _ in range(2):
            assert_spoke([chunk async for chunk in tts.speak(CLAUSE)], rate=22_050)
    assert server.asked[-1].json["response_format"] == "wav"
    assert len(server.asked) <= 4


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
async def test_text_is_no_audio(client: httpx2.AsyncClient, kind: str) -> None:
    with pytest.raises(ProviderGarbled, match=kind):
        await speak(client, streams(b"{}", kind=kind))


async def test_mp3_is_not_played_as_noise(client: httpx2.AsyncClient) -> None:
    with pytest.raises(ProviderGarbled, match="audio/mpeg"):
        await speak(client, streams(b"\xff\xfb\x90\x00" * 50, kind="audio/mpeg"))


async def test_words_without_audio_are_an_error(client: httpx2.AsyncClient) -> None:
    with pytest.raises(ProviderGarbled, match="empty"):
        await speak(client, streams())
    assert await speak(client, streams(), request=SpeakRequest("…", "vivian")) == []


async def test_an_unknown_voice_is_a_refusal(client: httpx2.AsyncClient) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.answer('{"error": {"message": "unknown voice"}}', status=404)

    with pytest.raises(ProviderRejected, match="404") as caught:
        await speak(client, refuses)
    assert caught.value.said == "unknown voice"


async def test_a_server_dying_before_a_sound_is_asked_again(client: httpx2.AsyncClient) -> None:
    async def dies(exchange: Exchange) -> None:
        await exchange.head(kind="audio/pcm")
        exchange.die()

    assert_spoke(await speak(client, dies, streams(PCM)))


async def test_a_server_dying_mid_clause_is_not_asked_again(client: httpx2.AsyncClient) -> None:
    async def dies(exchange: Exchange) -> None:
        await exchange.head(kind="audio/pcm")
        await exchange.piece(PCM)
        exchange.die()

    async with running(dies) as server:
        heard: list[SpeechChunk] = []
        with pytest.raises(ProviderUnreachable) as caught:
            async for chunk in synthesiser(server, client).speak(CLAUSE):
                heard += [chunk]
    assert_spoke(heard)
    assert not caught.value.retryable
    assert len(server.asked) == 1


async def test_a_hanging_server_times_out(client: httpx2.AsyncClient) -> None:
    async with running(Exchange.hang) as server:
        with pytest.raises(ProviderTimeout):
            _ = [c async for c in synthesiser(server, client, 0.05).speak(CLAUSE)]


async def test_closing_aborts_the_synthesis(client: httpx2.AsyncClient) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head(kind="audio/pcm")
        await exchange.piece(PCM)
        await exchange.hang()

    async with running(endless) as server:
        chunks = synthesiser(server, client).speak(CLAUSE)
        await anext(chunks)
        await chunks.aclose()
        async with asyncio.timeout(2):
            await server.exchanges[0].was_aborted.wait()
