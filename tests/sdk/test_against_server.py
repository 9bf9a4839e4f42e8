"""The client against the real server: every operation, the quickstart, and whole conversations."""

import inspect
import math
import os
import re
import subprocess
import sys
import threading
from array import array
from pathlib import Path

import pytest

from nur import (
    AsyncNurClient,
    Conflict,
    InvalidRequest,
    LiveState,
    NotFound,
    NurClient,
    SessionRefused,
    Unauthorized,
)
from nur import objects as sdk_objects
from nur.agents import AgentChanges, _AgentMethods, _AgentSessionMethods
from nur.audio import paced, silence
from nur.call import Call
from nur.calls import _AgentCallMethods, _CallMethods, _VoiceSessionMethods
from nur.catalogue import _ModelMethods, _VoiceMethods
from nur.events import (
    AgentTranscript,
    ConnectionDropped,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    SessionError,
    SessionReady,
    SessionUpdated,
    ToolCall,
    UserTranscript,
)
from nur.keys import _KeyMethods, _TokenMethods
from nur.numbers import _CallerIdMethods, _PhoneNumberMethods
from nur.recordings import _RecordingMethods
from nur.resource import endpoint, listing
from nur.sessions import _SessionMethods
from nur.webhooks import _WebhookMethods

from .live_server import running, wire_to

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared" / "seeds" / "002_7f2159d1ff0746f0.txt"
LOOKUP = {
    "name": "lookup_order",
    "description": "Look up order status by ID",
    "parameters": {"order_id": {"type": "string", "required": True}},
}
WAIT_SECONDS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("nur")) as server:
        yield server


@pytest.fixture
def client(server):
    with NurClient(server.key, server.url) as client:
        yield client


@pytest.fixture
def make_agent(client):
    def make(**fields):
        given = {"name": "Ada", "voice_id": "rachel_v2", "system_prompt": "Be brief.", **fields}
        return client.agents.create(**given)

    return make


@pytest.fixture
def session(client, make_agent):
    return client.agents.sessions.create(agent_id=make_agent().id)


def until(live, kind):
    """Events up to the first of `kind`."""
    events = []
    while not (events and isinstance(events[-1], kind)):
        event = live.receive(timeout=WAIT_SECONDS)
        assert event is not None, f"the session ended before {kind.__name__}"
        events.append(event)
    return events


def words_of(events):
    return [event.text for event in events if isinstance(event, AgentTranscript)]


# The quickstart


def run(path_or_code, server):
    environment = {**os.environ, "NUR_API_KEY": server.key, "NUR_BASE_URL": server.url}
    return subprocess.run(
        [sys.executable, *path_or_code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_quickstart_ran(done):
    assert done.stderr == ""
    assert re.fullmatch(
        r"Agent: agt_\w+\nWebSocket: ws://127\.0\.0\.1:\d+/v1/sessions/ses_\w+/ssk_\w+\n",
        done.stdout,
    )


def test_the_quickstart_example_runs(server):
    assert_quickstart_ran(run([str(ROOT / "examples" / "quickstart.py")], server))


@pytest.mark.skipif(not SEED.exists(), reason="the documents are not beside this repository")
def test_the_quickstart_of_the_documents_runs_as_it_is_printed(server):
    assert_quickstart_ran(run(["-c", printed_quickstart()], server))


def printed_quickstart():
    """The first listing whose numbered lines begin with the import."""
    lines = SEED.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line == "1from nur import NurClient")
    code = []
    for number, line in enumerate(lines[start:], 1):
        if not line.startswith(str(number)):
            break
        code.append(line.removeprefix(str(number)))
    return "\n".join(code)


def test_the_tools_example_holds_its_conversation(server):
    done = run([str(ROOT / "examples" / "tools.py"), "Where is my order 1042?"], server)
    assert done.stderr == ""
    assert "tool:  lookup_order({'order_id': '1042'})" in done.stdout
    assert "shipped yesterday" in done.stdout


# Every operation has a method

WITHOUT_METHOD = {
    "health": "for whoever watches the server",
    "readiness": "for whoever watches the server",
    "create_agent_by_verb": "another address of create_agent",
    "get_token": "create_token does the same",
    "sign_in": "for browsers, which keep its cookie",
    "get_browser_session": "for browsers",
    "sign_out": "for browsers",
    "end_session_by_delete": "another address of end_session",
    "end_call_by_delete": "another address of end_call",
    "create_call_of_agent": "another address of create_call",
    "import_phone_number_by_verb": "another address of import_phone_number",
    "offer_media": "for whoever has a peer connection",
    "start_voice": "create_session with transport webrtc does the same",
    "create_voice_session": "another address of start_voice",
    "end_session_of_page": "another address of end_voice_session",
    "end_media": "for whoever has a peer connection; end_session does the same",
    "get_voice_recording": "another address of get_recording",
}


def dummy_call(build):
    """The call a builder makes from its required arguments."""
    required = {
        name: "X"
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    call = build(**required)
    return call if isinstance(call, Call) else call.call()


def operations_of(*groups):
    methods = (each for group in groups for each in vars(group).values())
    calls = [dummy_call(each._build) for each in methods if isinstance(each, endpoint | listing)]
    return {(call.method, call.path.replace("X", "{}")) for call in calls}


def sdk_operations():
    return operations_of(
        _AgentMethods,
        _AgentSessionMethods,
        _SessionMethods,
        _VoiceMethods,
        _ModelMethods,
        _KeyMethods,
        _TokenMethods,
        _RecordingMethods,
        _CallMethods,
        _AgentCallMethods,
        _VoiceSessionMethods,
        _PhoneNumberMethods,
        _CallerIdMethods,
        _WebhookMethods,
    )


def server_operations(app):
    return {
        operation["operationId"]: (method.upper(), re.sub(r"\{[^}]*\}", "{}", path))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }


def test_every_operation_of_the_server_has_a_method(server):
    offered = server_operations(server.app)
    missing = {name for name, address in offered.items() if address not in sdk_operations()}
    assert missing == set(WITHOUT_METHOD)


def test_every_method_is_an_operation_of_the_server(server):
    assert sdk_operations() <= set(server_operations(server.app).values())


def properties(app, schema):
    return set(app.openapi()["components"]["schemas"][schema]["properties"])


def test_an_agent_can_be_given_every_field_there_is(server):
    assert AgentChanges.__annotations__.keys() == properties(server.app, "AgentChanges")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("AgentObject", "Agent"),
        ("SessionObject", "Session"),
        ("TranscriptObject", "Transcript"),
        ("TurnObject", "TranscriptTurn"),
        ("ToolCallObject", "TranscriptTool"),
        ("VoiceObject", "Voice"),
        ("ModelObject", "Model"),
        ("KeyObject", "Key"),
        ("NewKeyObject", "NewKey"),
        ("TokenObject", "Token"),
        ("SignInLinkObject", "SignInLink"),
        ("DeletedAgent", "Deleted"),
        ("DeletedNumber", "Deleted"),
        ("CallObject", "PhoneCall"),
        ("VoiceStatus", "VoiceStatus"),
        ("VoiceSession", "VoiceSession"),
        ("VoiceSessionDetails", "VoiceSessionDetails"),
        ("VoiceTranscript", "VoiceTranscript"),
        ("PhoneNumberObject", "PhoneNumber"),
        ("CallerIdObject", "CallerId"),
    ],
)
def test_objects_know_every_field_of_the_server_s(server, schema, kind):
    known = set(getattr(sdk_objects, kind).model_fields)
    assert properties(server.app, schema) - {"object"} <= known


# Resources


def test_an_agent_lives_its_life(client, make_agent):
    agent = make_agent(metadata={"team": "a"}, tools=[LOOKUP])
    assert agent.tools == [LOOKUP]
    assert client.agents.get(agent.id) == agent
    changed = client.agents.update(agent.id, first_message="Hi!", status="paused")
    assert (changed.first_message, changed.status, changed.name) == ("Hi!", "paused", "Ada")
    with pytest.raises(Conflict) as caught:
        client.agents.sessions.create(agent_id=agent.id)
    assert caught.value.code == "agent_paused"
    replaced = client.agents.replace(
        agent.id, name="Bob", voice_id="claire", system_prompt="Be kind."
    )
    assert (replaced.first_message, replaced.status, replaced.tools) == (None, "active", [])
    assert client.agents.delete(agent.id).deleted
    with pytest.raises(NotFound):
        client.agents.get(agent.id)


def test_lists_span_pages(client, make_agent):
    made = [make_agent(name=f"agent {n}").id for n in range(5)]
    listed = [agent.id for agent in client.agents.list(limit=2)]
    assert listed[:5] == made[::-1]
    assert client.agents.list(limit=2).page().has_more


async def test_lists_span_pages_for_the_async_client(server, make_agent):
    made = [make_agent(name=f"agent {n}").id for n in range(3)]
    async with AsyncNurClient(server.key, server.url) as client:
        listed = [agent.id async for agent in client.agents.list(limit=2)]
    assert listed[:3] == made[::-1]


def test_a_wrong_value_is_named(make_agent):
    with pytest.raises(InvalidRequest) as caught:
        make_agent(voice_id="nobody")
    assert caught.value.param == "voice_id"
    assert caught.value.request_id
    with pytest.raises(InvalidRequest) as caught:
        make_agent(max_turn=3)
    assert caught.value.param == "max_turn"


def test_a_wrong_key_is_refused(server):
    with NurClient("nur_wrong", server.url) as client, pytest.raises(Unauthorized):
        client.agents.list().page()


def test_keys_are_made_used_and_revoked(client, server):
    key = client.keys.create(name="kiosk", scopes=["agents:read"])
    assert key.id in [each.id for each in client.keys.list()]
    with NurClient(key.key, server.url) as kiosk:
        kiosk.agents.list().page()
        assert client.keys.revoke(key.id).revoked_at
        with pytest.raises(Unauthorized):
            kiosk.agents.list().page()
    assert client.keys.get(key.id).revoked_at


def test_voices_and_models_are_listed(client):
    voice = client.voices.get("rachel_v2")
    assert "rachel_v2" in voice.aliases
    assert voice.id in [each.id for each in client.voices.list()]
    assert {model.kind for model in client.models.list()} == {"stt", "llm", "tts"}
    assert client.models.get("qwen3.5-4b").available is False


def test_a_token_is_made(client):
    assert client.tokens.create(expires_in_seconds=30).expires_in_seconds == 30


# Conversations


def test_an_agent_greets_speaks_and_is_transcribed(client, make_agent):
    agent = make_agent(first_message="Hello {{name}}.")
    session = client.agents.sessions.create(agent_id=agent.id, context={"name": "Ada"})
    with client.sessions.connect(session) as live:
        assert live.session_id == session.session_id
        greeting = until(live, ReplyDone)
        assert words_of(greeting) == ["Hello Ada."]
        assert sum(len(each.audio) for each in greeting if isinstance(each, ReplyAudio)) > 4800
    ended = client.sessions.get(session.session_id)
    assert (ended.status, ended.ended_reason) == ("ended", "client_ended")
    transcript = client.sessions.transcript(session.session_id)
    assert [(turn.speaker, turn.text) for turn in transcript.turns] == [("agent", "Hello Ada.")]
    assert session.session_id in [each.session_id for each in client.sessions.list(status="ended")]
    assert [each.session_id for each in client.agents.sessions.list(agent.id)] == [
        session.session_id
    ]


def tone(seconds):
    samples = (round(9000 * math.sin(i / 8)) for i in range(int(24_000 * seconds)))
    return array("h", samples).tobytes()


def test_what_the_user_says_is_answered(client, session):
    over = threading.Event()

    def speak(live):
        for piece in paced(tone(0.8) + silence(WAIT_SECONDS), piece_ms=20):
            if over.is_set():
                return
            live.send_audio(piece)

    with client.sessions.connect(session, binary=True) as live:
        thread = threading.Thread(target=speak, args=(live,))
        thread.start()
        try:
            heard = until(live, UserTranscript)
            answer = until(live, ReplyDone)
        finally:
            over.set()
            thread.join(5)
    assert heard[-1].text == "Hello there."
    assert words_of(answer) == ["One two three four five."]
    assert len({each.reply_id for each in answer if isinstance(each, ReplyAudio)}) == 1


def test_a_function_answers_the_agent_s_tool_call(client, make_agent):
    asked = []

    def lookup_order(order_id):
        asked.append(order_id)
        return "shipped"

    agent = make_agent(tools=[LOOKUP])
    session = client.agents.sessions.create(agent_id=agent.id)
    with client.sessions.connect(session, tools={"lookup_order": lookup_order}) as live:
        live.add_message("Where is my order?")
        live.reply()
        until(live, ToolCall)
        until(live, AgentTranscript)
        live.end()
    assert asked == ["1042"]
    calls = [
        call
        for turn in client.sessions.transcript(session.session_id).turns
        for call in turn.tool_calls
    ]
    assert [(call.name, call.result, call.status) for call in calls] == [
        ("lookup_order", "shipped", "succeeded")
    ]


def test_a_cut_wire_is_mended_and_the_conversation_goes_on(client, server, make_agent):
    made = client.agents.sessions.create(agent_id=make_agent(first_message="Hello.").id)
    session = made.session_id
    with wire_to(server.url) as wire:
        path = made.websocket_url.partition("/v1/")[2]
        address = f"ws://127.0.0.1:{wire.port}/v1/{path}"
        with client.sessions.connect(address) as live:
            until(live, ReplyDone)
            wire.cut()
            until(live, ConnectionDropped)
            assert until(live, SessionReady)[-1].session_id == session
            live.reply()
            assert words_of(until(live, ReplyDone)) == ["One two three four five."]
    words = [turn.text for turn in client.sessions.transcript(session).turns]
    assert words == ["Hello.", "One two three four five."]


def test_a_session_is_set_up_over_its_own_socket_and_resumed(server):
    with wire_to(server.url) as wire:
        client = NurClient(server.key, f"http://127.0.0.1:{wire.port}")
        voice, other = [voice.id for voice in client.voices.list()][:2]
        config = {"system_prompt": "Be brief.", "output": {"voice": voice}}
        with client, client.sessions.connect(config=config) as live:
            until(live, SessionReady)
            wire.cut()
            until(live, ConnectionDropped)
            until(live, SessionReady)
            live.update(system_prompt="Be kind.")
            assert until(live, SessionUpdated)[-1].config["system_prompt"] == "Be kind."
            live.update(output={"voice": other})
            assert until(live, SessionError)[-1].code == "immutable_field"
            assert live.state is LiveState.READY


def test_a_session_ended_elsewhere_ends_here(client, session):
    with client.sessions.connect(session) as live:
        until(live, SessionReady)
        client.sessions.end(session.session_id)
        assert until(live, SessionEnded)[-1].reason == "client_ended"
        assert live.receive(timeout=WAIT_SECONDS) is None


def test_a_reply_can_be_cancelled(client, session):
    with client.sessions.connect(session) as live:
        live.reply()
        reply = until(live, ReplyStarted)[-1]
        live.cancel_reply(reply.reply_id)
        assert until(live, ReplyDone)[-1].was_cut_off


def test_unknown_and_ended_sessions_are_refused(client, session):
    client.sessions.end(session.session_id)
    for address, code in ((session, "session_expired"), ("ses_nobody", "session_not_found")):
        with pytest.raises(SessionRefused) as caught, client.sessions.connect(address):
            pass
        assert caught.value.code == code


def test_a_configuration_the_server_does_not_take_is_refused(client):
    with (
        pytest.raises(SessionRefused) as caught,
        client.sessions.connect(config={"output": {"voice": "nobody"}}),
    ):
        pass
    assert (caught.value.code, caught.value.param) == ("invalid_value", "output.voice")


def test_a_wrong_key_opens_no_socket(server):
    client = NurClient("nur_wrong", server.url)
    with (
        client,
        pytest.raises(SessionRefused) as caught,
        client.sessions.connect(config={"system_prompt": "Be brief."}),
    ):
        pass
    assert caught.value.code == "unauthorized"
