"""The scripted engines do what is written down, in virtual time."""

import asyncio

import numpy as np
import pytest

from nur_server.audio.utterance import UtteranceAudio
from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.errors import ProviderRejected, ProviderUnreachable, Unavailable
from nur_server.ports import (
    ActivityScore,
    ListenOptions,
    ReplyEnd,
    ReplyRequest,
    SpeakRequest,
    TextDelta,
    ToolCallDelta,
    ToolRequest,
    ToolResult,
    Transcript,
    WordMark,
)
from nur_server.providers.scripted import (
    Call,
    Fail,
    Hang,
    Heard,
    Say,
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedToolServer,
    ScriptedTurnModel,
    ScriptedVoiceActivity,
    Wait,
    level_db,
)

ASK = ReplyRequest((ModelMessage(Role.USER, "Hello"),))
LOST = ProviderUnreachable("lost", provider="scripted")
SECOND = np.zeros(16_000, np.int16)


# Language model


async def test_replies_come_in_order_word_by_word() -> None:
    llm = ScriptedLanguageModel(["Hello  there.", [Say("Well,"), Call("look", {"id": 7})]])
    assert [part async for part in llm.reply(ASK)] == [
        TextDelta("Hello"),
        TextDelta("  there."),
        ReplyEnd("stop"),
    ]
    assert [part async for part in llm.reply(ASK)] == [
        TextDelta("Well,"),
        ToolCallDelta("tool_1", "look", '{"id": 7}'),
        ReplyEnd("tool_calls"),
    ]
    assert llm.requests == [ASK, ASK]


async def test_a_used_up_script_says_so() -> None:
    with pytest.raises(ProviderRejected, match="at most 0 replies"):
        await anext(ScriptedLanguageModel([]).reply(ASK))


async def test_a_reply_may_depend_on_the_request() -> None:
    llm = ScriptedLanguageModel(lambda request: request.messages[-1].content)
    assert await anext(llm.reply(ASK)) == TextDelta("Hello")


async def test_it_fails_mid_sentence() -> None:
    reply = ScriptedLanguageModel([[Say("Your"), Fail(LOST)]]).reply(ASK)
    assert await anext(reply) == TextDelta("Your")
    with pytest.raises(ProviderUnreachable):
        await anext(reply)


@pytest.mark.looptime
async def test_it_waits_in_virtual_time_and_hangs_until_closed() -> None:
    loop = asyncio.get_running_loop()
    llm = ScriptedLanguageModel([[Wait(30), Say("Late"), Hang()]])
    reply, began = llm.reply(ASK), loop.time()
    assert await anext(reply) == TextDelta("Late")
    assert loop.time() - began == pytest.approx(30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await anext(reply)
    await reply.aclose()
    assert llm.open_replies == 0


# Speech to text


async def test_pauses_and_the_end_give_hypotheses() -> None:
    audio = UtteranceAudio()
    stt = ScriptedSpeechToText([Heard("one two", confidence=0.5)])
    heard = stt.transcribe(audio, ListenOptions())
    audio.append(SECOND)
    audio.mark_pause()
    assert await anext(heard) == Transcript("one two", False, 16_000, 0.5)
    audio.append(SECOND)
    audio.end()
    assert [t async for t in heard] == [Transcript("one two", True, 32_000, 0.5)]
    assert stt.open_utterances == 0


async def test_words_may_follow_the_audio() -> None:
    audio = UtteranceAudio()
    stt = ScriptedSpeechToText(["one two three four"], words_per_second=2)
    heard = stt.transcribe(audio, ListenOptions())
    audio.append(SECOND)
    audio.mark_pause()
    assert (await anext(heard)).text == "one two"
    audio.end()
    assert [t.text async for t in heard] == ["one two three four"]


async def test_recognition_fails_as_scripted() -> None:
    audio = UtteranceAudio()
    audio.end()
    with pytest.raises(ProviderUnreachable):
        await anext(
            ScriptedSpeechToText([Heard("", error=LOST)]).transcribe(audio, ListenOptions())
        )
    with pytest.raises(ProviderRejected, match="utterances"):
        await anext(ScriptedSpeechToText([]).transcribe(audio, ListenOptions()))


# Text to speech


async def test_audio_is_as_long_as_its_text() -> None:
    tts = ScriptedTextToSpeech(ms_per_character=50, sample_rate=16_000)
    chunks = [chunk async for chunk in tts.speak(SpeakRequest("Hello there", "v"))]
    assert sum(len(chunk.samples) for chunk in chunks) == 11 * 800
    assert {chunk.sample_rate for chunk in chunks} == {16_000}
    assert chunks[0].words == (WordMark(0, 0), WordMark(6, 300))
    assert not any(chunk.words for chunk in chunks[1:])


async def test_speed_shortens_it() -> None:
    tts = ScriptedTextToSpeech(ms_per_character=50)
    assert tts.duration_ms(SpeakRequest("Hello", "v", speed=2.0)) == 125


async def test_a_tone_goes_on_across_chunks() -> None:
    tts = ScriptedTextToSpeech(tone_hz=440, chunk_ms=7)
    samples = np.concatenate([c.samples async for c in tts.speak(SpeakRequest("Hello", "v"))])
    phase = 2 * np.pi * 440 / 24_000 * np.arange(len(samples))
    assert np.array_equal(samples, (8_000 * np.sin(phase)).astype(np.int16))


async def test_the_clause_with_that_number_fails() -> None:
    tts = ScriptedTextToSpeech(failures={1: LOST})
    assert await anext(tts.speak(SpeakRequest("Hello", "v")))
    with pytest.raises(ProviderUnreachable):
        await anext(tts.speak(SpeakRequest("there", "v")))


# Voice activity and end of turn


async def test_loud_windows_are_speech() -> None:
    scores: list[ActivityScore] = []
    stream = ScriptedVoiceActivity().open(scores.append)
    stream.feed(np.zeros(700, np.int16))
    stream.feed(np.full(400, 8_000, np.int16))
    assert scores == []
    await asyncio.sleep(0)
    assert [(s.position, s.probability) for s in scores] == [(512, 0.0), (1024, 1.0)]
    assert scores[0].level_db == -96.0


async def test_a_closed_stream_is_silent() -> None:
    scores: list[ActivityScore] = []
    vad = ScriptedVoiceActivity()
    stream = vad.open(scores.append)
    stream.feed(np.zeros(512, np.int16))
    stream.close()
    stream.close()
    await asyncio.sleep(0)
    assert scores == []
    assert vad.open_streams == 0


def test_levels_are_in_half_decibels() -> None:
    assert level_db(np.full(512, 32_767, np.int16)) == 0.0
    assert level_db(np.full(512, 16_384, np.int16)) == -6.0
    assert level_db(np.zeros(0, np.int16)) == -96.0


async def test_turn_scores_come_in_order_and_the_last_one_stays() -> None:
    model = ScriptedTurnModel([0.2, Unavailable("busy"), 0.9])
    assert await model.score(SECOND) == 0.2
    with pytest.raises(Unavailable):
        await model.score(SECOND)
    assert [await model.score(SECOND) for _ in range(2)] == [0.9, 0.9]
    assert model.asked == [16_000] * 4


# Tools


async def test_tools_answer_by_name() -> None:
    server = ScriptedToolServer(
        {"text": "ok", "echo": lambda request: ToolResult(str(request.arguments["n"]))}
    )

    async def ask(name: str) -> ToolResult:
        tool = ToolSpec(name, "", {"type": "object", "properties": {}})
        return await server.call(ToolRequest("c", "s", "a", tool, {"n": 1}))

    assert await ask("text") == ToolResult("ok")
    assert await ask("echo") == ToolResult("1")
    assert (await ask("other")).is_error
    assert [request.tool.name for request in server.requests] == ["text", "echo", "other"]
