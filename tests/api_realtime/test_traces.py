"""What a collector gets of a conversation over a real socket."""

import pytest

from tests.api.collector import collecting
from tests.api_realtime.conftest import Serve, id_of

GREETING = "Good morning."
ANSWERS = ("It was sent today.", "You are welcome.")
STAGES = {"stt", "llm", "tts", "first_audio"}


async def test_every_agent_turn_is_a_trace_with_the_stages_that_led_to_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(monkeypatch) as collector:
        async with serve(
            otlp_endpoint=collector.address, replies=lambda request: ANSWERS[len(spoken) - 1]
        ) as server:
            spoken = [GREETING]
            agent_id = await server.make_agent(first_message=GREETING)
            path = await server.make_session(agent_id)
            async with server.connect(path) as client:
                await client.until("reply.done")
                for answer in ANSWERS:
                    await client.speak()
                    assert (await client.until("transcript.agent"))["text"] == answer
                    await client.until("reply.done")
                    spoken.append(answer)
                await client.send("session.end")
                await client.closed()
            session_id = id_of(path)
            kept = (await server.get(f"/v1/sessions/{session_id}/transcript"))["turns"]
        turns = [span for span in collector.spans if span.name == "turn"]
        indexes = [turn["index"] for turn in kept if turn["speaker"] == "agent"]
        assert [turn.attributes["turn.index"] for turn in turns] == indexes
        assert len(turns) == 1 + len(ANSWERS)
        assert {turn.attributes["session.id"] for turn in turns} == {session_id}
        for turn in turns:
            inside = [span for span in collector.spans if span.parent == turn.id]
            expected = {"tts"} if turn is turns[0] else STAGES
            assert {span.name for span in inside} == expected
            for span in inside:
                assert span.trace == turn.trace
                assert turn.started_ns <= span.started_ns <= span.ended_ns <= turn.ended_ns
        said = b"".join(collector.bodies)
        assert not any(words.encode() in said for words in (GREETING, *ANSWERS))
