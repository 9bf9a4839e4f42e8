"""Conversations with OpenAI's Python client, every event held to its schema."""

from typing import Any

import pytest

from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.errors import ProviderUnreachable
from nur_server.providers.scripted import Call, Fail, Say
from tests.api_realtime.conftest import RATE, tone
from tests.openai.conftest import DETECTED, connected, ended, turns_of

LONG = "We have boots in brown, in black and in green. " * 6
ORDER = {
    "type": "function",
    "name": "lookup_order",
    "description": "Looks an order up.",
    "parameters": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
}


def hearing(**more: Any) -> dict[str, Any]:
    return {"input": {"turn_detection": DETECTED, **more}}


async def test_a_turn_is_heard_and_answered(serve: Any) -> None:
    async with serve(replies=lambda _: "It has shipped.") as server, connected(server) as peer:
        session = await peer.update(instructions="Be brief.", audio=hearing())
        assert session["instructions"] == "Be brief."
        assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
        await peer.say()
        done = await peer.until("response.done")
        assert server.llm.requests[0].messages[0].content == "Be brief."
    spoken = ("response.output_audio.delta", "response.output_audio_transcript.delta")
    order = [event["type"] for event in peer.seen]
    told = [kind for kind in peer.types() if kind not in spoken]
    # Sound and words come beside each other, within their part.
    first, last = (
        order.index(f"response.{n}") for n in ("content_part.added", "output_audio.done")
    )
    assert all(first < n < last for n, kind in enumerate(order) if kind in spoken)
    assert set(spoken) <= set(order)
    assert told == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    words = peer.of("conversation.item.input_audio_transcription.completed")[0]
    assert words["transcript"] == "Where is my order?"
    assert {e["item_id"] for e in peer.seen if e["type"].startswith("input_audio_buffer")} == {
        words["item_id"]
    }
    response = done["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["transcript"] == "It has shipped."
    assert response["usage"]["total_tokens"] >= 0
    deltas = "".join(e["delta"] for e in peer.of("response.output_audio_transcript.delta"))
    assert deltas == "It has shipped."
    assert len(peer.spoken()) > RATE // 5


@pytest.mark.parametrize(("name", "rate"), [("audio/pcmu", 8_000), ("audio/pcma", 8_000)])
async def test_telephone_audio_both_ways(serve: Any, name: str, rate: int) -> None:
    codec = AudioFormat(Encoding(name), rate)
    async with serve(replies=lambda _: "Yes.") as server, connected(server) as peer:
        audio = {**hearing(format={"type": name}), "output": {"format": {"type": name}}}
        session = await peer.update(audio=audio)
        assert session["audio"]["input"]["format"] == {"type": name}
        await peer.audio(codec.encode(tone(0.5, rate)), rate)
        await peer.audio(codec.encode(tone(1.2, rate) * 0), rate)
        await peer.until("response.done")
    heard = codec.decode(peer.spoken())
    assert 0.05 < len(heard) / rate < 1.0
    assert abs(heard).max() > 1_000


async def test_a_client_runs_tools_and_asks_for_the_reply(serve: Any) -> None:
    replies = [[Call("lookup_order", {"order_id": "7"}, "call_7")], "It has shipped."]
    async with serve(replies=replies) as server:
        async with connected(server) as peer:
            await peer.update(tools=[ORDER], tool_choice="auto", audio=hearing())
            await peer.say()
            asked = await peer.until("response.function_call_arguments.done")
            assert (asked["call_id"], asked["name"]) == ("call_7", "lookup_order")
            assert asked["arguments"] == '{"order_id": "7"}'
            done = (await peer.until("response.done"))["response"]
            assert [item["type"] for item in done["output"]] == ["function_call"]
            assert done["output"][0]["status"] == "completed"
            output = {"type": "function_call_output", "call_id": "call_7", "output": '{"ok":1}'}
            await peer.send("conversation.item.create", item=output)
            await peer.until("conversation.item.done")
            answer = await peer.respond()
            assert answer["output"][0]["content"][0]["transcript"] == "It has shipped."
            prompt = server.llm.requests[-1].messages
            assert prompt[-1].content == '{"ok":1}'
        assert await turns_of(server) == [
            ("user", "Where is my order?"),
            ("agent", ""),
            ("agent", "It has shipped."),
        ]


async def test_a_reply_asked_for_as_soon_as_the_tool_answers_waits_for_the_words(
    serve: Any,
) -> None:
    """The agent still speaks: OpenAI's server would have sent all of it long since."""
    said = [Say("Let me have a look at that for you. "), Call("lookup_order", {"order_id": "7"})]
    async with serve(replies=[said, "It has shipped."]) as server, connected(server) as peer:
        await peer.update(tools=[ORDER], audio=hearing())
        await peer.say()
        item = (await peer.until("response.output_item.done"))["item"]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "yes"}
        await peer.send("conversation.item.create", item=output)
        await peer.send("response.create")
        first = (await peer.until("response.done"))["response"]
        second = (await peer.until("response.done"))["response"]
    assert [i["type"] for i in first["output"]] == ["message", "function_call"]
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert second["output"][0]["content"][0]["transcript"] == "It has shipped."
    assert peer.of("error") == []


async def test_an_interruption_and_the_truncation_of_what_was_played(serve: Any) -> None:
    heard = iter(["Where is my order?", "Stop, please stop."])
    async with (
        serve(replies=[LONG, "All right."], heard=lambda _: next(heard, "Yes.")) as server,
        connected(server) as peer,
    ):
        await peer.update(audio=hearing())
        await peer.say()
        item_id = (await peer.until("response.output_audio.delta"))["item_id"]
        await peer.audio(tone(1.2))
        await peer.until("input_audio_buffer.speech_started")
        cut = (await peer.until("response.done"))["response"]
        assert cut["status"] == "cancelled"
        assert cut["status_details"]["reason"] == "turn_detected"
        assert cut["output"][0]["status"] == "incomplete"
        await peer.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1
        )
        told = await peer.until("conversation.item.truncated")
        assert told["audio_end_ms"] == 1
        await peer.send("conversation.item.retrieve", item_id=item_id)
        item = (await peer.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == ""


@pytest.mark.parametrize("beyond_ms", [600_000, 2_000])
async def test_a_truncation_beyond_the_end_changes_nothing(serve: Any, beyond_ms: int) -> None:
    async with serve(replies=["It has shipped."]) as server, connected(server) as peer:
        done = await peer.respond()
        item_id = done["output"][0]["id"]
        await peer.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=beyond_ms
        )
        await peer.until("conversation.item.truncated")
        await peer.send("conversation.item.retrieve", item_id=item_id)
        item = (await peer.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == "It has shipped."
        assert peer.of("error") == []


async def test_a_client_that_ends_its_turns_itself(serve: Any) -> None:
    async with serve(replies=["It has shipped."]) as server, connected(server) as peer:
        await peer.update(audio={"input": {"turn_detection": None}})
        await peer.audio(tone(0.5))
        await peer.audio(tone(1.2) * 0)
        await peer.send("input_audio_buffer.commit")
        item_id = (await peer.until("input_audio_buffer.committed"))["item_id"]
        words = await peer.until("conversation.item.input_audio_transcription.completed")
        assert (words["item_id"], words["transcript"]) == (item_id, "Where is my order?")
        assert len(server.llm.requests) == 0
        await peer.respond()
        assert peer.of("input_audio_buffer.speech_started") == []
        await peer.audio(tone(0.5))
        await peer.send("input_audio_buffer.clear")
        await peer.until("input_audio_buffer.cleared")
        await peer.send("input_audio_buffer.commit", event_id="mine")
        error = (await peer.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        await peer.audio(tone(0.5) * 0)
        await peer.send("input_audio_buffer.commit")
        empty = await peer.until("conversation.item.input_audio_transcription.completed")
        assert empty["transcript"] == ""


async def test_turns_that_the_client_answers(serve: Any) -> None:
    detected = {**DETECTED, "create_response": False}
    async with serve(replies=["It has shipped."]) as server, connected(server) as peer:
        await peer.update(audio={"input": {"turn_detection": detected, "transcription": None}})
        await peer.say()
        await peer.until("conversation.item.done")
        assert server.llm.requests == []
        assert (await peer.respond())["status"] == "completed"
        assert peer.of("conversation.item.input_audio_transcription.completed") == []


async def test_text_alone(serve: Any) -> None:
    async with serve(replies=["It has shipped.", "Aloud."]) as server, connected(server) as peer:
        session = await peer.update(output_modalities=["text"])
        assert session["output_modalities"] == ["text"]
        await peer.type("Where is my order?")
        done = await peer.respond()
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "It has shipped."}]
        text = "".join(e["delta"] for e in peer.of("response.output_text.delta"))
        assert text == "It has shipped." == peer.of("response.output_text.done")[0]["text"]
        assert peer.spoken() == b""
        done = await peer.respond(output_modalities=["audio"])
        assert done["output"][0]["content"][0]["transcript"] == "Aloud."
        assert peer.spoken()


async def test_a_response_has_instructions_and_metadata_of_its_own(serve: Any) -> None:
    async with serve(replies=["Ciao."]) as server, connected(server) as peer:
        await peer.update(instructions="Be brief.")
        done = await peer.respond(instructions="In Italian.", metadata={"topic": "greeting"})
        assert done["metadata"] == {"topic": "greeting"}
        assert peer.of("response.created")[0]["response"]["metadata"] == {"topic": "greeting"}
        assert server.llm.requests[0].messages[0].content == "Be brief.\n\nIn Italian."


async def test_a_response_out_of_band(serve: Any) -> None:
    async with serve(replies=["support", "It has shipped."]) as server, connected(server) as peer:
        item_id = await peer.type("Where is my order?")
        done = await peer.respond(
            conversation="none",
            output_modalities=["text"],
            instructions="Which department?",
            metadata={"topic": "routing"},
            input=[{"type": "item_reference", "id": item_id}],
        )
        assert done["conversation_id"] is None
        assert done["metadata"] == {"topic": "routing"}
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "support"}]
        shown = [message.content for message in server.llm.requests[0].messages]
        assert shown == ["Which department?", "Where is my order?"]
        await peer.respond()
        contents = [message.content for message in server.llm.requests[1].messages]
        assert contents == ["Where is my order?"]


async def test_a_response_is_cancelled(serve: Any) -> None:
    async with serve(replies=[LONG, "Yes."]) as server, connected(server) as peer:
        await peer.send("response.create")
        await peer.until("response.output_audio.delta")
        await peer.send("response.cancel")
        cut = (await peer.until("response.done"))["response"]
        assert cut["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await peer.send("response.cancel", event_id="again")
        error = (await peer.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "again")


async def test_a_failure_of_the_model_is_no_error_of_the_session(serve: Any) -> None:
    """Some clients end their conversation on any error."""

    broken = [Fail(ProviderUnreachable("it is away", provider="llm"))]
    async with serve(replies=[broken, "Back."]) as server, connected(server) as peer:
        done = await peer.respond()
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"]
        assert peer.of("error") == []
        assert (await peer.respond())["status"] == "completed"


async def test_items_are_created_in_their_places_and_deleted(serve: Any) -> None:
    async with serve(replies=["Yes."]) as server, connected(server) as peer:

        async def create(id: str, text: str, role: str = "user", **more: Any) -> dict[str, Any]:
            kind = "output_text" if role == "assistant" else "input_text"
            content = [{"type": kind, "text": text}]
            item = {"id": id, "type": "message", "role": role, "content": content}
            await peer.send("conversation.item.create", item=item, **more)
            added: dict[str, Any] = await peer.until("conversation.item.done")
            return added

        await create("a", "One.", "assistant")
        assert (await create("b", "Two.", "assistant"))["previous_item_id"] == "a"
        first = await create("c", "Zero.", "assistant", previous_item_id="root")
        assert first["previous_item_id"] is None
        between = await create("d", "Between.", "assistant", previous_item_id="a")
        assert between["previous_item_id"] == "a"
        await peer.send("conversation.item.delete", item_id="b")
        await peer.until("conversation.item.deleted")
        call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
        await peer.send("conversation.item.create", item=call)
        output = {"type": "function_call_output", "call_id": "c1", "output": "found"}
        await peer.send("conversation.item.create", item=output)
        await create("e", "And?")
        await peer.respond()
        prompt = server.llm.requests[0].messages
        assert [m.content for m in prompt] == ["Zero.", "One.", "Between.", "", "found", "And?"]
        assert prompt[3].tool_calls[0].name == "look"


async def test_a_stored_agent_by_its_name_greets_and_is_recorded(serve: Any) -> None:
    async with serve(replies=["It has shipped."]) as server:
        agent_id = await server.make_agent(first_message="Hello there.", recording=True)
        async with connected(server, "Support") as peer:
            greeting = (await peer.until("response.done"))["response"]
            assert greeting["output"][0]["content"][0]["transcript"] == "Hello there."
            await peer.say()
            await peer.until("response.done")
        session = await ended(server)
        assert session["agent_id"] == agent_id
        assert session["ended_reason"] == "client_ended"
        assert await turns_of(server) == [
            ("agent", "Hello there."),
            ("user", "Where is my order?"),
            ("agent", "It has shipped."),
        ]
