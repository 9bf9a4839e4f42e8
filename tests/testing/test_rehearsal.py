"""Testing an agent, as a user does it."""

import asyncio
import json

import pytest

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import ToolStatus
from nur_server.errors import InvalidRequest
from nur_server.providers.offline import OfflineResponder
from nur_server.testing import (
    Call,
    Phone,
    Say,
    ScriptedLanguageModel,
    SimulatedCaller,
    ToolFailed,
    Wait,
    World,
    conversation,
)

SALES = "+15550100"

LONG = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, "
    "all of them in stock and ready to be sent to you tomorrow morning."
)
SHOP = {
    "system_prompt": "You answer for a shop.",
    "tools": [
        {
            "name": "lookup_order",
            "description": "Find an order",
            "parameters": {"order_id": {"type": "string", "required": True}},
        }
    ],
}


async def test_it_looks_up_the_order() -> None:
    replies = [[Call("lookup_order", {"order_id": "1234"})], "It has shipped."]
    tools = {"lookup_order": lambda order_id: {"order": order_id, "status": "shipped"}}
    async with conversation(SHOP, replies=replies, tools=tools) as call:
        await call.says("Where is my order 1234?")
        await call.agent_done()
        call.assert_understood("Where is my order 1234?")
        call.assert_tool_called("lookup_order", order_id="1234", times=1)
        call.assert_spoke("shipped")
        call.assert_not_interrupted()


async def test_an_interruption() -> None:
    async with conversation(SHOP, replies=[LONG, "All right."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop please, only sandals.", after=1.0)
        await call.agent_done()
        cut = call.assert_interrupted()
        assert 0 < len(cut.text) < len(LONG)
        call.assert_heard_is_stored()
        call.assert_spoke("all right")
        call.assert_not_spoke("tomorrow morning")
        await call.hangs_up()
        call.assert_ended("client_ended")
        call.assert_invariants()


async def test_the_greeting_and_the_variables_of_the_session() -> None:
    agent = {"first_message": "Hello {{name|you}}!", "system_prompt": "Serve {{name}}."}
    async with conversation(agent, context={"name": "Ada"}, replies=["Good."]) as call:
        await call.agent_done()
        call.assert_spoke("Hello Ada!")
        await call.says("How are you today?")
        await call.agent_done()
        assert call.prompts[-1].messages[0].content == "Serve Ada."


async def test_a_simulated_caller_holds_the_conversation() -> None:
    def caller(said: str) -> str | None:
        if "order number" in said:
            return "It is seven."
        return None if "Goodbye" in said else "I have a question."

    def model(request: object) -> str:
        text = str(request)
        if "It is seven." in text:
            return "Thank you. Goodbye!"
        return "What is the order number?"

    async with conversation({"first_message": "Hello!"}, model=model) as call:
        await call.talks(caller)
        assert call.user_said == ["I have a question.", "It is seven."]
        assert call.agent_said[-1] == "Thank you. Goodbye!"


async def test_a_failing_tool_is_told_to_the_model() -> None:
    def look(order_id: str) -> str:
        raise ToolFailed("There is no such order.")

    replies = [[Call("lookup_order", {"order_id": "9"})], "I cannot find it."]
    async with conversation(SHOP, replies=replies, tools={"lookup_order": look}) as call:
        await call.says("Where is order nine?")
        await call.agent_done()
        told = json.loads(call.prompts[-1].messages[-1].content)
        assert told == {"ok": False, "error": "There is no such order."}
        call.assert_spoke("cannot find")


async def test_a_mistake_in_a_tool_function_fails_the_test() -> None:
    replies = [[Call("lookup_order", {"order_id": "9"})], "Hm."]
    with pytest.raises(TypeError, match="unexpected keyword"):
        async with conversation(SHOP, replies=replies, tools={"lookup_order": lambda: ""}) as call:
            await call.says("Where is order nine?")
            await call.agent_done()


async def test_a_tool_the_server_runs() -> None:
    agent = {**SHOP, "tool_url": "https://example.com/tools"}
    replies = [[Call("lookup_order", {"order_id": "7"})], "There it is."]
    tools = {"lookup_order": lambda order_id: order_id}
    async with conversation(agent, replies=replies, tools=tools) as call:
        await call.says("Where is order seven?")
        await call.agent_done()
        call.assert_tool_called("lookup_order", times=1)
        call.assert_spoke("There it is.")


async def test_a_claim_that_does_not_hold_shows_the_transcript() -> None:
    async with conversation(SHOP, replies=[LONG]) as call:
        await call.says("What do you have?")
        await call.agent_done()
        with pytest.raises(AssertionError) as failure:
            call.assert_spoke("umbrellas")
        assert "expected the agent to have said 'umbrellas'" in str(failure.value)
        assert "user   What do you have?" in str(failure.value)
        with pytest.raises(AssertionError, match="what ran: none"):
            call.assert_tool_called("lookup_order")
        with pytest.raises(AssertionError, match="interrupted"):
            call.assert_interrupted()
        with pytest.raises(AssertionError, match="have ended: silence; it goes on"):
            call.assert_ended(EndedReason.SILENCE)
        await call.hangs_up()
        with pytest.raises(AssertionError, match="have ended: silence; it ended: client_ended"):
            call.assert_ended(EndedReason.SILENCE)


async def test_a_claim_about_tools_shows_what_ran() -> None:
    replies = [[Call("lookup_order", {"order_id": "1"})], "Sent."]
    tools = {"lookup_order": lambda order_id: "sent"}
    async with conversation(SHOP, replies=replies, tools=tools) as call:
        await call.says("Where is my order?")
        await call.agent_done()
        ran = r"what ran: lookup_order\(order_id='1'\)"
        with pytest.raises(AssertionError, match=ran):
            call.assert_no_tool_called()
        with pytest.raises(AssertionError, match=ran):
            call.assert_tool_called("lookup_order", order_id="2")


async def test_replies_that_are_used_up_are_named() -> None:
    async with conversation(SHOP, replies=["Yes."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.says("And do you sell hats?")
        await call.agent_done()
        with pytest.raises(AssertionError, match="1 replies"):
            call.assert_spoke("hats")


async def test_what_was_understood_does_not_depend_on_case_and_the_last_mark() -> None:
    async with conversation(SHOP, replies=["Yes."]) as call:
        await call.says("Do you sell  boots?")
        await call.agent_done()
        call.assert_understood("do you sell boots")
        with pytest.raises(AssertionError, match="understood: 'boots'"):
            call.assert_understood("boots")


async def test_a_function_for_a_tool_the_agent_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match=r"\(lookup_order\), got \['look_up'\]"):
        async with conversation(SHOP, tools={"look_up": str}):
            pass


async def test_settings_change_wherever_they_are() -> None:
    async with conversation(SHOP) as call:
        call.reconfigures(vad_threshold=0.7, reprompt_seconds=4, max_turns=3)
        config = call.session.setup.conversation
        assert (config.turn_detection.vad_threshold, config.max_turns) == (0.7, 3)
        assert config.silence.reprompt_seconds == 4
        with pytest.raises(TypeError, match="got loudness"):
            call.reconfigures(loudness=3)


async def test_a_caller_on_a_phone() -> None:
    agent = {**SHOP, "tools": [{"type": "collect_digits"}, {"type": "transfer_call"}]}
    replies = [
        [Say("Enter your code."), Call("collect_digits", {"max_digits": 4})],
        [Say("One moment, I am connecting you."), Call("transfer_call", {"to_number": SALES})],
    ]
    async with conversation(agent, replies=replies, world=World(phone=Phone())) as call:
        await call.says("I want to talk to somebody in sales.")
        await call.agent_speaks()
        await call.waits(2)
        call.presses("4711")
        await call.ended()
        call.assert_spoke("I am connecting you")
        assert call.tool_calls[0].result == '{"digits": "4711"}'
        assert call.handset and call.handset.transferred_to == SALES
        call.assert_ended("transferred")
        call.assert_invariants()


async def test_an_end_during_a_transfer_leaves_nothing_behind() -> None:
    agent = {**SHOP, "tools": [{"type": "transfer_call"}]}
    replies = [[Call("transfer_call", {"to_number": SALES})]]
    world = World(phone=Phone(transfer_seconds=300))
    async with conversation(agent, replies=replies, world=world) as call:
        await call.says("I want to talk to somebody in sales.")
        await call.until(lambda: bool(call.tool_calls))
        await call.hangs_up()
        await call.waits(2)
        assert len(call.live) == 0
        assert not any("Session._transfer" in repr(task) for task in asyncio.all_tasks())
        assert call.tool_calls[0].status is ToolStatus.CANCELLED


async def test_an_agent_that_never_answers_is_noticed() -> None:
    async with conversation(SHOP, replies=[[Wait(2), Say("Late.")]]) as call:
        await call.says("Is anybody there?")
        with pytest.raises(AssertionError, match=r"answered within 1 s"):
            await call.agent_done(timeout=1)
        await call.agent_done()
        call.assert_spoke("late")


async def test_a_backchannel_is_let_pass() -> None:
    async with conversation(SHOP, replies=[LONG]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Mm-hmm.", after=1.5)
        await call.agent_done()
        call.assert_not_interrupted()
        call.assert_spoke("tomorrow morning")


async def test_somebody_in_the_background_is_let_pass() -> None:
    async with conversation(SHOP, replies=["Yes, we do.", LONG]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.says("What else do you have?")
        await call.agent_speaks()
        await call.says("Dinner is ready, are you coming?", after=1.0, faint=True)
        await call.agent_done()
        call.assert_not_interrupted()


async def test_a_caller_who_drops_and_comes_back_hears_the_rest() -> None:
    async with conversation({"first_message": LONG}) as call:
        await call.agent_speaks()
        await call.waits(1)
        call.drops()
        await call.waits(5)
        call.comes_back()
        await call.agent_done()
        call.assert_spoke("tomorrow morning")
        call.assert_heard_is_stored()


async def test_an_agent_the_server_would_refuse_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="interruption_threshold"):
        async with conversation({"interruption_threshold": 3}):
            pass


async def test_replies_and_a_model_do_not_go_together() -> None:
    with pytest.raises(TypeError, match="got both"):
        async with conversation({}, replies=["a"], model=lambda request: "b"):
            pass


async def test_a_caller_played_by_a_language_model() -> None:
    persona = ScriptedLanguageModel(["Where is order seven?", "Thanks.", "HANG UP"])
    caller = SimulatedCaller(persona, "You want to know where order seven is.")
    replies = ["It is on its way.", "You are welcome."]
    async with conversation({"first_message": "Hello!"}, replies=replies) as call:
        await call.talks(caller)
        assert call.user_said == ["Where is order seven?", "Thanks."]
        assert call.agent_said == ["Hello!", *replies]
    asked = [message.content for message in persona.requests[-1].messages]
    assert "order seven" in asked[0]
    assert asked[1:] == [
        "Hello!",
        "Where is order seven?",
        "It is on its way.",
        "Thanks.",
        "You are welcome.",
    ]


async def test_a_real_language_model_answers_in_real_time() -> None:
    agent = {"system_prompt": "We are open until six.", "output": {"type": "text"}}
    async with conversation(agent, model=OfflineResponder()) as call:
        await call.says("When are you open?", seconds=0.4)
        await call.agent_done()
        call.assert_spoke("open until six")
