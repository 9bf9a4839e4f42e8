"""The realtime socket, and what servers do to it."""

import asyncio

import numpy as np
import pytest
from servers import Exchange, Realtime, RealtimeServer, realtime, running

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import (
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.ports import ListenOptions, Transcript
from nur_server.providers.http import ModelServer
from nur_server.providers.vllm_realtime import VLLMRealtime, realtime_url

SECOND = np.arange(16_000, dtype=np.int16)


def recogniser(server: RealtimeServer, stall: float = 5.0, settle: float = 5.0) -> VLLMRealtime:
    model = ModelServer(server.base_url, "voxtral-realtime")
    return VLLMRealtime(model, stall_seconds=stall, settle_seconds=settle)


def spoken(seconds: int = 2) -> UtteranceAudio:
    audio = UtteranceAudio()
    for _ in range(seconds):
        audio.append(SECOND)
    audio.end()
    return audio


async def transcripts(stt: VLLMRealtime, audio: UtteranceAudio) -> list[Transcript]:
    return [t async for t in stt.transcribe(audio, ListenOptions())]


async def hears_hello(server: Realtime) -> None:
    await server.greet()
    await server.read_to_final()
    await server.delta("")
    await server.delta(" hello")
    await server.delta(" there")
    await server.done("hello there.")


async def test_an_utterance_is_streamed_as_documented() -> None:
    async with realtime(hears_hello) as server:
        heard = await transcripts(recogniser(server), spoken())
    (connection,) = server.connections
    assert [message["type"] for message in connection.received[:2]] == [
        "session.update",
        "input_audio_buffer.commit",
    ]
    assert connection.received[0] == {"type": "session.update", "model": "voxtral-realtime"}
    assert connection.received[1].get("final", False) is False
    assert connection.received[-1] == {"type": "input_audio_buffer.commit", "final": True}
    appended = connection.received[2:-1]
    assert {message["type"] for message in appended} == {"input_audio_buffer.append"}
    assert all(message["audio"] for message in appended)
    assert bytes(connection.pcm) == SECOND.tobytes() * 2
    assert [t.text for t in heard] == ["hello", "hello there", "hello there."]
    assert [t.is_final for t in heard] == [False, False, True]
    assert heard[-1].covers == 32_000


async def test_words_come_while_the_user_speaks() -> None:
    async def handler(server: Realtime) -> None:
        await server.greet()
        while len(server.pcm) < 32_000:
            await server.read()
        await server.delta(" one")
        await server.read_to_final()
        await server.done("one two")

    audio = UtteranceAudio()
    async with realtime(handler) as server:
        heard = recogniser(server).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        first = await anext(heard)
        assert (first.text, first.is_final) == ("one", False)
        # The model's words trail the audio by 0.48 s.
        assert first.covers == 16_000 - 7_680
        audio.end()
        assert [t.text async for t in heard] == ["one two"]


async def test_no_partials_when_none_are_wanted() -> None:
    async with realtime(hears_hello) as server:
        stt = recogniser(server).transcribe(spoken(), ListenOptions(wants_partials=False))
        assert [t.is_final async for t in stt] == [True]


async def test_a_server_that_never_says_done_is_believed_after_a_while() -> None:
    async def handler(server: Realtime) -> None:
        await server.greet()
        await server.read_to_final()
        await server.delta(" hello")
        await server.hang()

    async with realtime(handler) as server:
        heard = await transcripts(recogniser(server, settle=0.05), spoken())
    assert heard[-1] == Transcript("hello", True, 32_000)


async def test_words_before_the_end_settle_too() -> None:
    async def handler(server: Realtime) -> None:
        await server.greet()
        await server.read()
        await server.delta(" hello")
        await server.hang()

    async with realtime(handler) as server:
        audio = UtteranceAudio()
        heard = recogniser(server, settle=0.05).transcribe(audio, ListenOptions())
        audio.append(SECOND)
        assert (await anext(heard)).text == "hello"
        audio.end()
        assert [t async for t in heard] == [Transcript("hello", True, 16_000)]


async def dies(server: Realtime) -> None:
    await server.greet()
    await server.read()
    server.socket.transport.abort()


async def test_a_lost_socket_is_replaced_and_fed_from_the_start() -> None:
    async with realtime(dies, hears_hello) as server:
        heard = await transcripts(recogniser(server), spoken())
    assert heard[-1].text == "hello there."
    assert bytes(server.connections[1].pcm) == SECOND.tobytes() * 2


async def test_a_socket_lost_twice_is_an_error() -> None:
    async with realtime(dies) as server:
        with pytest.raises(ProviderUnreachable):
            await transcripts(recogniser(server), spoken())
    assert len(server.connections) == 2


async def stalls(server: Realtime) -> None:
    await server.greet()
    await server.hang()


async def test_a_stalled_server_is_replaced() -> None:
    async with realtime(stalls, hears_hello) as server:
        heard = await transcripts(recogniser(server, stall=0.1), spoken())
    assert heard[-1].text == "hello there."


async def test_a_server_stalled_while_the_user_speaks_is_noticed() -> None:
    async with realtime(stalls) as server:
        audio = UtteranceAudio()
        audio.append(SECOND)
        with pytest.raises(ProviderTimeout):
            await transcripts(recogniser(server, stall=0.05), audio)


async def test_a_server_given_nothing_is_not_blamed_for_its_silence() -> None:
    async with realtime(hears_hello) as server:
        audio = UtteranceAudio()
        audio.append(SECOND[:1600])
        asking = asyncio.ensure_future(transcripts(recogniser(server, stall=0.05), audio))
        await asyncio.sleep(0.2)
        assert not asking.done()
        audio.append(SECOND)
        audio.end()
        assert (await asking)[-1].text == "hello there."


async def test_a_server_that_never_greets_times_out() -> None:
    async with realtime(Realtime.hang) as server:
        with pytest.raises(ProviderTimeout):
            await transcripts(recogniser(server, stall=0.05), spoken())


async def test_an_unknown_model_is_a_refusal() -> None:
    async def handler(server: Realtime) -> None:
        await server.greet()
        await server.read()
        await server.send(type="error", error="no such model", code="model_not_found")

    async with realtime(handler) as server:
        with pytest.raises(ProviderRejected, match="reported an error") as caught:
            await transcripts(recogniser(server), spoken())
    assert caught.value.said == "no such model"
    assert caught.value.details == {"provider_code": "model_not_found"}
    assert len(server.connections) == 1


async def test_a_processing_error_is_worth_another_socket() -> None:
    async def handler(server: Realtime) -> None:
        await server.greet()
        await server.read()
        await server.send(type="error", error="engine died", code="processing_error")

    async with realtime(handler, hears_hello) as server:
        assert (await transcripts(recogniser(server), spoken()))[-1].text == "hello there."


@pytest.mark.parametrize("raw", ["hello", "[1]", b"\x00\x01"])
async def test_garbage_is_called_garbage(raw: str | bytes) -> None:
    async def handler(server: Realtime) -> None:
        await server.socket.send(raw)
        await server.hang()

    async with realtime(handler) as server:
        with pytest.raises(ProviderGarbled):
            await transcripts(recogniser(server), spoken())


async def test_a_server_without_the_socket_says_what_to_set() -> None:
    async def plain(exchange: Exchange) -> None:
        await exchange.answer("not found", status=404)

    async with running(plain) as server:
        stt = VLLMRealtime(ModelServer(server.base_url, "whisper"))
        with pytest.raises(ProviderRejected, match="NUR_STT_REALTIME=0"):
            await transcripts(stt, spoken())


async def test_nobody_there() -> None:
    async with realtime(hears_hello) as server:
        pass
    with pytest.raises(ProviderUnreachable):
        await transcripts(recogniser(server), spoken())


async def test_an_utterance_without_audio_needs_no_server() -> None:
    async with realtime(hears_hello) as server:
        assert await transcripts(recogniser(server), spoken(0)) == [Transcript("", True, 0)]
    assert server.connections == []


async def test_closing_closes_the_socket() -> None:
    async with realtime(stalls) as server:
        audio = UtteranceAudio()
        audio.append(SECOND)
        heard = recogniser(server).transcribe(audio, ListenOptions())
        asking = asyncio.ensure_future(anext(heard))
        await server.was_fed.wait()
        asking.cancel()
        await asyncio.wait({asking})
        await heard.aclose()
        async with asyncio.timeout(2):
            await server.connections[0].socket.wait_closed()


def test_the_socket_lies_beside_the_other_endpoints() -> None:
    assert realtime_url("http://gpu:8000/v1/") == "ws://gpu:8000/v1/realtime"
    assert realtime_url("https://gpu/v1") == "wss://gpu/v1/realtime"
    assert realtime_url("https://gpu/v1?key=a") == "wss://gpu/v1/realtime?key=a"
