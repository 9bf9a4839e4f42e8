"""Test an agent: hold conversations with it in virtual time, from your own pytest.

from nur_server.testing import Call, conversation

async def test_it_looks_up_the_order():
    agent = {"system_prompt": "You answer for a shop.", "tools": [...]}
    replies = [[Call("lookup_order", {"order_id": "1234"})], "It has shipped."]
    async with conversation(agent, replies=replies, tools={"lookup_order": look}) as call:
        await call.says("Where is my order 1234?")
        await call.agent_done()
        call.assert_tool_called("lookup_order", order_id="1234", times=1)
        call.assert_spoke("shipped")
"""

from nur_server.providers.scripted import (
    Call,
    Fail,
    Hang,
    Reply,
    Say,
    ScriptedLanguageModel,
    ScriptedTextToSpeech,
    Wait,
)
from nur_server.testing.ear import Ear
from nur_server.testing.invariants import Evidence
from nur_server.testing.listening import Trouble, VoiceRecogniser, VoiceTurnModel
from nur_server.testing.memory import Memory
from nur_server.testing.opening import conversation
from nur_server.testing.phone import Handset, Phone
from nur_server.testing.rehearsal import Rehearsal
from nur_server.testing.simulated import SimulatedCaller
from nur_server.testing.tools import ToolFailed
from nur_server.testing.virtual_time import virtual_time
from nur_server.testing.voice import Voice
from nur_server.testing.world import World

__all__ = [
    "Call",
    "Ear",
    "Evidence",
    "Fail",
    "Handset",
    "Hang",
    "Memory",
    "Phone",
    "Rehearsal",
    "Reply",
    "Say",
    "ScriptedLanguageModel",
    "ScriptedTextToSpeech",
    "SimulatedCaller",
    "ToolFailed",
    "Trouble",
    "Voice",
    "VoiceRecogniser",
    "VoiceTurnModel",
    "Wait",
    "World",
    "conversation",
    "virtual_time",
]
