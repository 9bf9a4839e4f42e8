"""Live sessions over a real loopback socket, against a server that plays a script."""

import asyncio
import base64
import threading
import time

import pytest
from pydantic import BaseModel

from nur import (
    AsyncNurClient,
    LiveSession,
    LiveState,
    NurClient,
    Session,
    SessionLost,
    SessionRefused,
)
from nur.events import (
    AgentTranscript,
    ConnectionDropped,
    ReplyAudio,
    ReplyDone,
    SessionEnded,
    SessionError,
    SessionReady,
    SessionUpdated,
    ToolCall,
    UnknownEvent,
    UserTranscript,
)
from nur.queues import Inbox

from .scripted_server import answering

PCM = bytes(range(200)) * 24


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr("nur.backoff.FIRST_SECONDS", 0.01)


@pytest.fixture
def client():
    with NurClient("nur_k", "http://127.0.0.1:9", timeout=5) as client:
        yield client


def kinds(events):
    return [type(event) for event in events]


def quiet(line):
    """A session that begins, and ends when it is asked to."""
    line.ready()
    while line.hear() != {"type": "session.end"}:
        pass
    line.end()


# Events


def test_events_come_typed_and_in_order_until_the_end(client):
    def script(line):
        line.ready()
        line.say("transcript.user", item_id="i1", text="hello")
        line.say("reply.started", reply_id="r1", item_id="i2")
        line.say_audio("r1", PCM)
        line.say("transcript.agent", reply_id="r1", item_id="i2", text="hi", interrupted=False)
        line.say("reply.done", reply_id="r1", status="completed")
        line.end("max_turns")

    with answering(script) as server, client.sessions.connect(server.url) as live:
        assert live.session_id == "ses_1"
        assert live.config == {"greeting": "hi"}
        events = list(live)
    assert events[0] == SessionReady(
        session_id="ses_1", config={"greeting": "hi"}, expires_at=9, timestamp=1.5
    )
    assert events[1] == UserTranscript(item_id="i1", text="hello", timestamp=1.5)
    assert events[3] == ReplyAudio(reply_id="r1", audio=PCM, timestamp=1.5)
    assert events[5] == ReplyDone(reply_id="r1", status="completed", timestamp=1.5)
    assert events[6] == SessionEnded(
        session_duration_seconds=1.0, reason="max_turns", timestamp=1.5
    )
    assert live.ended_reason == "max_turns"
    assert live.state is LiveState.ENDED


def test_what_the_sdk_does_not_know_comes_as_it_is(client):
    def script(line):
        line.ready()
        line.say("weather.changed", to="rain")
        line.say("reply.done")
        line.say_raw("not JSON")
        line.say_raw("[1]")
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        events = list(live)
    assert kinds(events) == [SessionReady, *[UnknownEvent] * 4, SessionEnded]
    assert (events[1].type, events[1].data["to"]) == ("weather.changed", "rain")


def test_binary_frames_are_audio_of_the_running_reply(client):
    def script(line):
        assert "audio=binary" in line.path
        line.ready()
        line.say("reply.started", reply_id="r7", item_id="i")
        line.say_raw(PCM)
        assert line.hear() == PCM[:960]
        line.end()

    with answering(script) as server, client.sessions.connect(server.url, binary=True) as live:
        live.send_audio(PCM[:960])
        events = list(live)
    assert events[2] == ReplyAudio(reply_id="r7", audio=PCM)
    assert kinds(events)[-1] is SessionEnded


def test_a_cut_off_reply_loses_the_audio_that_waits(client):
    def script(line):
        line.ready()
        line.say("reply.started", reply_id="r1", item_id="i")
        line.say_audio("r1", PCM)
        line.say(
            "transcript.agent", reply_id="r1", item_id="i", text="I was saying", interrupted=True
        )
        line.say("reply.done", reply_id="r1", status="interrupted", reason="user_speech")
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(server.url, end_on_exit=False) as live,
    ):
        deadline = threading.Event()
        while not live.interrupted and not deadline.wait(0.01):
            pass
        events = [live.receive(timeout=5) for _ in range(4)]
    assert ReplyAudio not in kinds(events)
    assert isinstance(events[2], AgentTranscript)
    assert events[2].interrupted
    assert events[3].was_cut_off
    assert events[3].reason == "user_speech"


def test_the_words_alone_tell_of_an_interruption(client):
    def script(line):
        line.ready()
        line.say("reply.started", reply_id="r1", item_id="i")
        line.say("transcript.agent", reply_id="r1", item_id="i", text="I was", interrupted=True)
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        list(live)
        assert live.interrupted


def test_a_new_reply_is_not_interrupted(client):
    def script(line):
        line.ready()
        line.say("reply.done", reply_id="r1", status="interrupted")
        line.say("reply.started", reply_id="r2", item_id="i")
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        list(live)
        assert not live.interrupted


def test_waiting_for_an_event_has_a_limit(client):
    with answering(quiet) as server, client.sessions.connect(server.url) as live:
        assert isinstance(live.receive(timeout=5), SessionReady)
        with pytest.raises(TimeoutError):
            live.receive(timeout=0.02)


def test_unread_events_do_not_pile_up(client, monkeypatch):
    def script(line):
        line.ready()
        for _ in range(50):
            line.say_audio("r1", PCM)
        line.say("transcript.user", item_id="i", text="still here")
        line.end()

    monkeypatch.setattr("nur.live.Inbox", lambda: Inbox(10))
    with answering(script) as server, client.sessions.connect(server.url) as live:
        while live.state is not LiveState.ENDED:
            time.sleep(0.005)
        events = list(live)
    assert len(events) == 10
    assert kinds(events)[0] is SessionReady
    assert kinds(events)[-2:] == [UserTranscript, SessionEnded]
    assert live.dropped_events == 43


# Commands


def test_every_command_arrives(client):
    def script(line):
        line.ready()
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(server.url, end_on_exit=False) as live,
    ):
        live.send_audio(PCM[:4])
        live.reply("Say hello.")
        live.reply()
        live.cancel_reply("r1")
        live.played("r1", 400)
        live.add_message("The user is in Rome.", role="system")
        live.update(system_prompt="Be brief.", tools=[])
        live.send_tool_result("c1", {"a": 1})
        live.send_tool_result("c2", "plain", is_error=True)
        heard = [server.next_heard() for _ in range(9)]
    assert heard == [
        {"type": "input.audio", "audio": base64.b64encode(PCM[:4]).decode()},
        {"type": "reply.create", "instructions": "Say hello."},
        {"type": "reply.create"},
        {"type": "reply.cancel", "reply_id": "r1"},
        {"type": "reply.audio.played", "reply_id": "r1", "played_ms": 400},
        {"type": "conversation.message", "role": "system", "content": "The user is in Rome."},
        {"type": "session.update", "session": {"system_prompt": "Be brief.", "tools": []}},
        {"type": "tool.result", "call_id": "c1", "result": '{"a": 1}', "is_error": False},
        {"type": "tool.result", "call_id": "c2", "result": "plain", "is_error": True},
    ]


def test_long_audio_is_sent_in_pieces_and_whole(client):
    second = bytes(48_000)

    def script(line):
        line.ready()
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(server.url, binary=True, end_on_exit=False) as live,
    ):
        live.send_audio(second)
        assert server.next_heard() + server.next_heard() == second


def test_half_a_sample_is_refused(client):
    with (
        answering(quiet) as server,
        client.sessions.connect(server.url) as live,
        pytest.raises(ValueError, match="whole 16-bit samples"),
    ):
        live.send_audio(b"abc")


def test_a_mulaw_session_is_asked_for_and_has_one_byte_samples(client):
    def script(line):
        assert "encoding=mulaw" in line.path
        assert "sample_rate=8000" in line.path
        line.ready()
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(
            server.url, binary=True, encoding="mulaw", end_on_exit=False
        ) as live,
    ):
        live.send_audio(b"abc")
        assert server.next_heard() == b"abc"


def test_an_update_changes_what_is_known_of_the_settings(client):
    def script(line):
        line.ready()
        asked = line.hear()["session"]
        line.say("session.updated", config=asked)
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        live.update(system_prompt="New.")
        events = list(live)
        assert live.config == {"system_prompt": "New."}
    assert SessionUpdated in kinds(events)


# The end


def test_ending_waits_for_the_server_and_keeps_what_came_before(client):
    with answering(quiet) as server, client.sessions.connect(server.url) as live:
        live.end()
        assert live.state is LiveState.ENDED
        assert kinds(live) == [SessionReady, SessionEnded]
        live.end()


def test_leaving_the_block_ends_the_session(client):
    ended = threading.Event()

    def script(line):
        line.ready()
        assert line.hear() == {"type": "session.end"}
        ended.set()
        line.end()

    with answering(script) as server:
        with client.sessions.connect(server.url):
            pass
        assert ended.wait(5)


def test_an_error_in_the_block_ends_the_session_and_is_raised_as_it_is(client):
    with (
        answering(quiet) as server,
        pytest.raises(KeyError, match="mine"),
        client.sessions.connect(server.url),
    ):
        raise KeyError("mine")


def test_a_session_can_be_left_open(client):
    def script(line):
        line.ready()
        line.hear_all()

    with answering(script) as server:
        with client.sessions.connect(server.url, end_on_exit=False):
            pass
        assert server.heard.empty()


def test_nothing_can_be_sent_after_the_end(client):
    def script(line):
        line.ready()
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        list(live)
        with pytest.raises(SessionLost, match="has ended"):
            live.reply()


def test_no_thread_is_left_behind(client):
    before = threading.active_count()
    with answering(quiet) as server:
        with client.sessions.connect(server.url):
            pass
        names = [thread.name for thread in threading.enumerate()]
    assert "nur-live" not in names
    assert threading.active_count() <= before


def test_a_server_that_never_confirms_the_end_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr("nur.live.END_SECONDS", 0.05)

    def script(line):
        line.ready()
        line.hear_all()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        with pytest.raises(SessionLost, match="confirm the end"):
            live.end()
        assert live.state is LiveState.READY


# Reconnection


def test_a_dropped_connection_is_made_again_and_the_session_goes_on(client):
    def first(line):
        line.ready()
        line.say("transcript.user", item_id="i1", text="before")
        line.drop()

    def second(line):
        line.ready()
        line.say("transcript.user", item_id="i2", text="after")
        line.end()

    with answering(first, second) as server, client.sessions.connect(server.url) as live:
        events = list(live)
    assert kinds(events) == [
        SessionReady,
        UserTranscript,
        ConnectionDropped,
        SessionReady,
        UserTranscript,
        SessionEnded,
    ]
    assert server.connections == 2


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013])
def test_these_close_codes_are_come_back_from(client, code):
    def first(line):
        line.ready()
        line.close(code, "later")

    with answering(first, quiet) as server, client.sessions.connect(server.url) as live:
        assert kinds([live.receive(timeout=5) for _ in range(3)]) == [
            SessionReady,
            ConnectionDropped,
            SessionReady,
        ]


def test_what_is_sent_during_the_outage_arrives_after_it(client):
    dropped = threading.Event()

    def first(line):
        line.ready()
        line.drop()

    def second(line):
        dropped.wait(5)
        line.ready()
        line.hear_all()

    with (
        answering(first, second) as server,
        client.sessions.connect(server.url, binary=True, end_on_exit=False) as live,
    ):
        while not isinstance(live.receive(timeout=5), ConnectionDropped):
            pass
        live.reply("Go on.")
        live.send_audio(PCM[:480])
        dropped.set()
        assert server.next_heard() == {"type": "reply.create", "instructions": "Go on."}
        assert server.next_heard() == PCM[:480]


def test_a_server_that_stops_reading_is_left_and_come_back_to(client, monkeypatch):
    monkeypatch.setattr("nur.socket.WRITE_SECONDS", 0.1)
    monkeypatch.setattr("nur.socket.CLOSE_SECONDS", 0.1)
    over = threading.Event()

    def stuck(line):
        line.ready()
        over.wait(20)

    with answering(stuck, quiet) as server:
        with client.sessions.connect(server.url, binary=True) as live:
            until_ready = [live.receive(timeout=5)]
            second = bytes(48_000)
            while live.state is LiveState.READY and server.connections == 1:
                live.send_audio(second)
            until_ready += [live.receive(timeout=5), live.receive(timeout=5)]
        over.set()
    assert kinds(until_ready) == [SessionReady, ConnectionDropped, SessionReady]


def test_a_session_that_does_not_come_back_is_lost(client, monkeypatch):
    monkeypatch.setattr("nur.reconnection.RECONNECT_ATTEMPTS", 2)

    def first(line):
        line.ready()
        line.drop()

    def gone(line):
        line.close(1011)

    with answering(first, gone) as server, client.sessions.connect(server.url) as live:
        with pytest.raises(SessionLost, match="come back"):
            list(live)
        with pytest.raises(SessionLost):
            live.send_audio(PCM)
    assert server.connections == 3


@pytest.mark.parametrize(
    "code", ["session_not_found", "session_expired", "session_forbidden", "unauthorized"]
)
def test_a_final_code_is_not_tried_again(client, code):
    def first(line):
        line.ready()
        line.drop()

    def refusing(line):
        line.say("session.error", code=code, message="no more")
        line.close(1008)

    with (
        answering(first, refusing) as server,
        client.sessions.connect(server.url) as live,
        pytest.raises(SessionRefused, match="no more") as caught,
    ):
        list(live)
    assert caught.value.code == code
    assert server.connections == 2


@pytest.mark.parametrize(("code", "attempts_made"), [(4404, 1), (4410, 1), (1011, 3)])
def test_close_codes_tell_whether_to_try_again(client, code, attempts_made):
    def refusing(line):
        line.close(code, "session_not_found")

    kind = SessionLost if attempts_made > 1 else SessionRefused
    with (
        answering(refusing) as server,
        pytest.raises(kind, match="session_not_found"),
        client.sessions.connect(server.url),
    ):
        pass
    assert server.connections == attempts_made


def test_a_connection_that_lasted_ends_the_outage(client, monkeypatch):
    monkeypatch.setattr("nur.reconnection.RECONNECT_ATTEMPTS", 1)
    monkeypatch.setattr("nur.reconnection.STABLE_SECONDS", 0.0)

    def dropping(line):
        line.ready()
        line.drop()

    scripts = [dropping] * 4 + [quiet]
    with answering(*scripts) as server, client.sessions.connect(server.url) as live:
        events = [live.receive(timeout=5) for _ in range(9)]
    assert kinds(events) == [SessionReady, ConnectionDropped] * 4 + [SessionReady]


def test_connections_that_do_not_last_are_one_outage(client, monkeypatch):
    monkeypatch.setattr("nur.reconnection.RECONNECT_ATTEMPTS", 2)

    def dropping(line):
        line.ready()
        line.drop()

    with (
        answering(dropping) as server,
        client.sessions.connect(server.url) as live,
        pytest.raises(SessionLost),
    ):
        list(live)
    assert server.connections == 3


def test_large_settings_arrive(client):
    prompt = "Be brief. " * 20_000

    def script(line):
        line.say("session.ready", session_id="ses_1", config={"system_prompt": prompt})
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        list(live)
        assert live.config["system_prompt"] == prompt


def test_a_newer_connection_is_not_fought_over(client):
    def script(line):
        line.ready()
        line.say("session.error", code="immutable_field", message="no", param="output.voice")
        line.close(1008, "replaced by a newer connection")

    with (
        answering(script) as server,
        client.sessions.connect(server.url) as live,
        pytest.raises(SessionRefused, match="replaced by a newer connection") as caught,
    ):
        list(live)
    assert caught.value.code == "session_refused"
    assert server.connections == 1


def test_a_refused_session_does_not_open(client):
    def refusing(line):
        line.say("session.error", code="invalid_value", message="unknown voice", param="voice")
        line.close(1008)

    with (
        answering(refusing) as server,
        pytest.raises(SessionRefused, match="unknown voice") as caught,
        client.sessions.connect(server.url),
    ):
        pass
    assert (caught.value.code, caught.value.param) == ("invalid_value", "voice")
    assert server.connections == 1


def test_an_unreachable_server_is_lost_after_its_retries(client):
    live = client.with_options(max_retries=1).sessions.connect("ws://127.0.0.1:9/v1/sessions/s")
    with pytest.raises(SessionLost, match="expected a connection"), live:
        pass


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    def silent(line):
        line.hear_all()

    impatient = NurClient("nur_k", "http://127.0.0.1:9", timeout=0.05, max_retries=0)
    with (
        answering(silent) as server,
        pytest.raises(SessionLost, match=r"no session\.ready"),
        impatient.sessions.connect(server.url),
    ):
        pass


def test_an_error_that_is_not_final_is_only_told(client):
    def script(line):
        line.ready()
        line.say("session.error", code="immutable_field", message="no", param="output.voice")
        line.end()

    with answering(script) as server, client.sessions.connect(server.url) as live:
        assert kinds(live) == [SessionReady, SessionError, SessionEnded]


# Tools


def ask(call_id="c1", name="lookup_order", runner="client", **arguments):
    def call(line):
        line.say("tool.call", call_id=call_id, name=name, arguments=arguments, runner=runner)

    return call


def answer_to(client, tools, *calls, count=1, **options):
    """What the server hears when it makes the calls."""

    def script(line):
        line.ready()
        for call in calls:
            call(line)
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(server.url, tools=tools, end_on_exit=False, **options),
    ):
        return [server.next_heard() for _ in range(count)]


def test_a_function_answers_its_tool(client):
    def lookup_order(order_id):
        return {"order": order_id, "status": "shipped"}

    [result] = answer_to(client, {"lookup_order": lookup_order}, ask(order_id="7"))
    assert result == {
        "type": "tool.result",
        "call_id": "c1",
        "result": '{"order": "7", "status": "shipped"}',
        "is_error": False,
    }


class Order(BaseModel):
    id: str


async def later(order_id):
    await asyncio.sleep(0)
    return Order(id=order_id)


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (later, '{"id":"7"}'),
        (lambda order_id: later(order_id), '{"id":"7"}'),
        (lambda order_id: f"order {order_id}", "order 7"),
        (lambda order_id: None, "null"),
    ],
)
def test_functions_may_be_of_any_kind(client, function, result):
    [answer] = answer_to(client, {"lookup_order": function}, ask(order_id="7"))
    assert (answer["result"], answer["is_error"]) == (result, False)


def fail(order_id):
    raise LookupError("no such order")


def stop(order_id):
    raise StopIteration


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fail, "LookupError: no such order"),
        (stop, "StopIteration"),
        (lambda wrong: None, "TypeError"),
        (lambda order_id: object(), "TypeError"),
    ],
)
def test_a_function_that_fails_is_told_to_the_agent(client, function, said):
    [answer] = answer_to(client, {"lookup_order": function}, ask(order_id="7"))
    assert answer["is_error"]
    assert said in answer["result"]


def test_a_function_that_takes_too_long_is_told_to_the_agent(client):
    release = threading.Event()
    [answer] = answer_to(
        client,
        {"lookup_order": lambda: release.wait(5)},
        ask(),
        tool_timeout_seconds=0.05,
    )
    release.set()
    assert answer["is_error"]
    assert "within 0.05 seconds" in answer["result"]


def test_a_tool_no_function_was_given_for_is_left_to_the_application(client):
    def script(line):
        line.ready()
        ask("c1", name="other", x=1)(line)
        line.hear_all()

    with (
        answering(script) as server,
        client.sessions.connect(
            server.url, tools={"lookup_order": fail}, end_on_exit=False
        ) as live,
    ):
        live.receive(timeout=5)
        call = live.receive(timeout=5)
        assert isinstance(call, ToolCall)
        assert (call.name, call.arguments) == ("other", {"x": 1})
        live.send_tool_result(call.call_id, "done")
        assert server.next_heard()["result"] == "done"


def test_a_tool_the_server_runs_is_not_run_here(client):
    ran = []
    tools = {"lookup_order": lambda: "ran", "note": ran.append}
    [answer] = answer_to(client, tools, ask("c1", name="note", runner="server", x=1), ask("c2"))
    assert answer["call_id"] == "c2"
    assert ran == []


def test_a_call_runs_once_however_often_it_comes(client):
    ran = []

    def lookup_order():
        ran.append(1)
        return "found"

    def first(line):
        line.ready()
        ask("c1")(line)
        assert line.hear()["result"] == "found"
        line.drop()

    def second(line):
        line.ready()
        ask("c1")(line)
        line.hear_all()

    with (
        answering(first, second) as server,
        client.sessions.connect(
            server.url, tools={"lookup_order": lookup_order}, end_on_exit=False
        ),
    ):
        # Once because the last connection may have lost it, once as the answer to the repetition.
        again = [server.next_heard() for _ in range(2)]
    assert [(each["call_id"], each["result"]) for each in again] == [("c1", "found")] * 2
    assert ran == [1]


def test_a_result_ready_during_the_outage_arrives_after_it(client):
    dropped = threading.Event()

    def lookup_order():
        assert dropped.wait(5)
        return "found"

    def first(line):
        line.ready()
        ask("c1")(line)
        line.drop()

    def second(line):
        line.ready()
        line.hear_all()

    with (
        answering(first, second) as server,
        client.sessions.connect(
            server.url, tools={"lookup_order": lookup_order}, end_on_exit=False
        ) as live,
    ):
        while not isinstance(live.receive(timeout=5), ConnectionDropped):
            pass
        dropped.set()
        assert server.next_heard()["result"] == "found"


def test_a_stuck_function_does_not_keep_the_block_from_ending(client):
    release = threading.Event()

    def script(line):
        line.ready()
        ask("c1")(line)
        line.hear()
        line.end()

    tools = {"lookup_order": release.wait}
    with answering(script) as server, client.sessions.connect(server.url, tools=tools) as live:
        live.receive(timeout=5)
    assert live.state is LiveState.ENDED
    release.set()


# A session configured over its own socket


def test_a_config_opens_a_new_session_and_resumes_it():
    def first(line):
        assert line.path == "/v1/ws"
        assert line.authorization == "Bearer nur_k"
        assert line.hear() == {"type": "session.update", "session": {"system_prompt": "Be brief."}}
        line.say("session.updated", config={})
        line.ready("ses_9")
        line.drop()

    def second(line):
        assert line.hear() == {"type": "session.resume", "session_id": "ses_9"}
        line.ready("ses_9")
        line.end()

    with answering(first, second) as server:
        base = server.url.replace("ws://", "http://").removesuffix("/v1/sessions/ses_1")
        client = NurClient("nur_k", base)
        with client.sessions.connect(config={"system_prompt": "Be brief."}) as live:
            events = list(live)
    assert kinds(events) == [
        SessionUpdated,
        SessionReady,
        ConnectionDropped,
        SessionReady,
        SessionEnded,
    ]


def test_a_stored_session_is_opened_without_the_key(client):
    def script(line):
        assert line.authorization is None
        quiet(line)

    with answering(script) as server:
        session = Session(session_id="ses_1", websocket_url=server.url, status="active")
        with client.sessions.connect(session) as live:
            assert live.state is LiveState.READY


@pytest.mark.parametrize(
    ("session", "options"),
    [
        (None, {}),
        ("ses_1", {"config": {}}),
        (None, {"config": {}, "binary": True}),
        (None, {"config": {}, "sample_rate": 8000}),
    ],
)
def test_options_that_exclude_each_other_are_refused(client, session, options):
    with pytest.raises(ValueError, match="expected"), client.sessions.connect(session, **options):
        pass


# Threads and tasks


def test_audio_may_be_sent_from_another_thread(client):
    def script(line):
        line.ready()
        for _ in range(20):
            line.hear()
        line.end()

    def speak(live: LiveSession):
        for _ in range(20):
            live.send_audio(PCM[:480])

    with answering(script) as server, client.sessions.connect(server.url, binary=True) as live:
        thread = threading.Thread(target=speak, args=(live,))
        thread.start()
        assert kinds(live) == [SessionReady, SessionEnded]
        thread.join(5)


async def test_the_async_session_is_the_same():
    async def lookup_order(order_id):
        return f"order {order_id}"

    def script(line):
        line.ready()
        ask("c1", order_id="7")(line)
        assert line.hear()["result"] == "order 7"
        line.end()

    with answering(script) as server:
        async with (
            AsyncNurClient("nur_k", "http://127.0.0.1:9") as client,
            client.sessions.connect(server.url, tools={"lookup_order": lookup_order}) as live,
        ):
            events = [event async for event in live]
    assert kinds(events) == [SessionReady, ToolCall, SessionEnded]


async def test_a_cancelled_wait_loses_no_event():
    go = threading.Event()

    def script(line):
        line.ready()
        go.wait(5)
        line.say("transcript.user", item_id="i", text="hello")
        line.end()

    with answering(script) as server:
        async with (
            AsyncNurClient("nur_k", "http://127.0.0.1:9") as client,
            client.sessions.connect(server.url) as live,
        ):
            assert isinstance(await live.receive(), SessionReady)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await live.receive(timeout=0.01)
            go.set()
            assert isinstance(await live.receive(timeout=5), UserTranscript)


async def test_a_cancelled_block_closes_the_connection():
    begun, gone = threading.Event(), threading.Event()

    def script(line):
        line.ready()
        line.hear()
        begun.set()
        line.hear_all()
        gone.set()

    async def talk(url, client):
        async with client.sessions.connect(url, end_on_exit=False) as live:
            await live.reply()
            async for _ in live:
                pass

    with answering(script) as server:
        async with AsyncNurClient("nur_k", "http://127.0.0.1:9") as client:
            task = asyncio.create_task(talk(server.url, client))
            assert await asyncio.to_thread(begun.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await asyncio.to_thread(gone.wait, 5)


async def test_a_blocking_call_inside_a_coroutine_tool_is_refused_rather_than_stuck():
    seen = []

    def run():
        async def note():
            live.reply()

        def script(line):
            line.ready()
            line.hear()
            ask("c1", name="note")(line)
            line.hear_all()

        with (
            answering(script) as server,
            NurClient("nur_k", "http://127.0.0.1:9") as client,
            client.sessions.connect(server.url, tools={"note": note}, end_on_exit=False) as live,
        ):
            live.reply()
            seen.append(server.next_heard())

    await asyncio.to_thread(run)
    assert seen[0]["is_error"]
    assert "from another thread" in seen[0]["result"]
