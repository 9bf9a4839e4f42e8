"""The realtime dialect, held against recorded conversations and against bad input."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.api.nesting import MAX_NESTING
from nur_server.api.wire.realtime import schemas
from nur_server.api.wire.realtime.codec import KINDS, AudioFrames, RealtimeDialect, decode
from nur_server.api.wire.realtime.options import echo
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.clock import ManualClock
from nur_server.conversation import notices
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest, InvalidRequest, NurError, Unauthorized
from nur_server.options import OutputOptions, SessionOptions
from nur_server.ports import SessionAbout, SessionUpdated

RECORDED = sorted((Path(__file__).parent / "realtime").glob("*.jsonl"))
CLOCK = ManualClock()
NOW = CLOCK.now().timestamp()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def dialect(
    audio: AudioFormat | None = None, frames: AudioFrames = AudioFrames.JSON
) -> RealtimeDialect:
    made = RealtimeDialect(CLOCK, frames)
    made.configure(SessionOptions(output=OutputOptions(format=audio or AudioFormat())))
    return made


def refusal(message: object) -> NurError:
    raw = message if isinstance(message, str | bytes) else json.dumps(message)
    with pytest.raises(NurError) as refused:
        decode(raw)
    return refused.value


# Recorded conversations


UNSHOWN = {"InputTaken", "AsideDone"}
"""Notices of what clients of other protocols ask for."""
DONE = notices.ReplyStatus.COMPLETED


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_clients_say_is_understood(path: Path) -> None:
    for line in lines(path):
        if "client" not in line:
            continue
        message = decode(json.dumps(line["client"]))
        assert type(message).__name__ == line["is"]
        for name, expected in line.get("with", {}).items():
            got = getattr(message, name)
            assert (list(got) if isinstance(got, bytes) else got) == expected


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_the_session_tells_is_written_as_recorded(path: Path) -> None:
    speaker = dialect()
    for line in lines(path):
        if "notice" in line:
            notice = msgspec.convert(line["with"], getattr(notices, line["notice"]))
            (written,) = speaker.encode(notice)
        elif "audio" in line:
            text = speaker.audio(line["of"], np.array(line["audio"], np.int16))
            assert isinstance(text, str)
            written = text
        else:
            continue
        assert json.loads(written) == {**line["server"], "timestamp": NOW}


def test_every_message_and_every_notice_is_in_a_recording() -> None:
    recorded = [line for path in RECORDED for line in lines(path)]
    assert {line["client"]["type"] for line in recorded if "client" in line} == KINDS
    known = {kind.__name__ for kind in notices.Notice.__args__}
    assert {line["notice"] for line in recorded if "notice" in line} == known - UNSHOWN


@pytest.mark.parametrize("notice", [notices.InputTaken("msg_1"), notices.AsideDone("r1", "", DONE)])
def test_what_no_client_of_this_protocol_asks_for_is_not_shown(notice: notices.Notice) -> None:
    assert type(notice).__name__ in UNSHOWN
    assert dialect().encode(notice) == []


# Session messages


def test_the_session_s_own_messages() -> None:
    speaker = dialect()
    about = SessionAbout("ses_1", None, SessionOptions(), ("careful",), CLOCK.now())
    (hello,) = speaker.hello(about)
    assert json.loads(hello) == {
        "type": "session.ready",
        "timestamp": NOW,
        "session_id": "ses_1",
        "config": echo(about),
        "expires_at": int(NOW),
    }
    (updated,) = speaker.encode(SessionUpdated(about))
    assert json.loads(updated) == {
        "type": "session.updated",
        "timestamp": NOW,
        "config": echo(about),
        "warnings": ["careful"],
    }
    assert json.loads(speaker.error(Unauthorized("Authentication failed"))) == {
        "type": "session.error",
        "timestamp": NOW,
        "code": "unauthorized",
        "message": "Authentication failed",
        "param": None,
        "session_id": None,
    }


@pytest.mark.parametrize("reason", list(EndedReason))
def test_every_end_has_a_close_code_and_its_reason(reason: EndedReason) -> None:
    code, text = dialect().farewell(reason)
    special = {
        EndedReason.EXPIRED: 4410,
        EndedReason.SERVER_SHUTDOWN: 1012,
        EndedReason.INTERNAL_ERROR: 1011,
    }
    assert (code, text) == (special.get(reason, 1000), reason.value)


def test_binary_audio_is_nothing_but_audio() -> None:
    samples = np.array([1, -2, 3], np.int16)
    plain = dialect(frames=AudioFrames.BINARY)
    assert plain.audio("resp_1", samples) == samples.tobytes()
    telephone = dialect(AudioFormat(Encoding.MULAW, 8_000), AudioFrames.BINARY)
    assert telephone.audio("resp_1", np.zeros(3, np.int16)) == b"\xff\xff\xff"


# Bad input


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "hello",
        "nan",
        b"\xff\xfe",
        b"\x00",
        '{"type": "input.audio", "audio": "AA',
        "[" * 50,
        '{"type": "session.end"} more',
    ],
)
def test_what_is_no_json_is_an_invalid_format(raw: str | bytes) -> None:
    error = refusal(raw)
    assert (error.code, error.message) == ("invalid_format", "Invalid JSON format.")


def test_a_message_may_not_nest_deeper_than_what_is_made_of_it() -> None:
    def result(deep: int) -> str:
        nested = "[" * deep + "]" * deep
        return f'{{"type": "tool.result", "call_id": "c", "result": {nested}}}'

    assert isinstance(decode(result(MAX_NESTING - 1)), schemas.ToolResultGiven)
    error = refusal(result(MAX_NESTING))
    assert error.code == "invalid_format"
    assert f"{MAX_NESTING} deep" in error.message


@pytest.mark.parametrize(
    "message", [[], 7, None, '"text"', {}, {"type": 7}, {"typ": "session.end"}]
)
def test_a_message_is_an_object_with_a_type(message: object) -> None:
    error = refusal(message)
    assert error.code == "invalid_format"
    assert "'type'" in error.message


def test_an_unknown_type_is_named() -> None:
    error = refusal({"type": "session.begin"})
    assert error.code == "invalid_format"
    assert error.message.startswith("Unknown message type: session.begin; did you mean")


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"type": "input.audio"}, None),
        ({"type": "input.audio", "audio": 7}, "audio"),
        ({"type": "tool.result", "result": "x"}, None),
        ({"type": "tool.result", "call_id": 7}, "call_id"),
        ({"type": "session.resume"}, None),
        ({"type": "conversation.message", "role": "assistant", "content": "x"}, "role"),
        ({"type": "conversation.message", "role": "user"}, None),
        ({"type": "reply.create", "instructions": 7}, "instructions"),
        ({"type": "session.update"}, None),
    ],
)
def test_a_message_without_what_it_needs_is_an_invalid_format(
    message: dict[str, Any], param: str | None
) -> None:
    error = refusal(message)
    assert (error.code, error.param) == ("invalid_format", param)
    assert f"Invalid message format for type '{message['type']}'" in error.message


@pytest.mark.parametrize("audio", ["AAA", "not base64!", "AA=A"])
def test_audio_that_is_not_base64_is_invalid_audio(audio: str) -> None:
    assert refusal({"type": "input.audio", "audio": audio}).code == "invalid_audio"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (7, None),
        ({"system_promt": "x"}, "system_promt"),
        ({"system_prompt": 7}, "system_prompt"),
        (
            {"input": {"turn_detection": {"vad_threshold": 1.5}}},
            "input.turn_detection.vad_threshold",
        ),
        ({"input": {"turn_detection": {"min_silence": 10}}}, "input.turn_detection.min_silence"),
        ({"input": {"turn_detection": {"min_silense": 10}}}, "input.turn_detection.min_silense"),
        ({"input": {"turn_detection": {"type": "none"}}}, "input.turn_detection.type"),
        ({"input": {"keyterms": ["x"] * 101}}, "input.keyterms"),
        ({"input": {"keyterms": ["x", 7]}}, "input.keyterms[1]"),
        ({"input": {"format": {"encoding": "audio/opus"}}}, "input.format.encoding"),
        ({"input": {"format": {"sample_rate": 44_100}}}, "input.format.sample_rate"),
        ({"output": {"volume": 101}}, "output.volume"),
        ({"output": {"voice": ""}}, "output.voice"),
        ({"tools": {"name": "x"}}, "tools"),
        ({"webhook": {"url": "https://example.com", "events": [], "more": 1}}, "webhook.more"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(session: object, param: str | None) -> None:
    error = refusal({"type": "session.update", "session": session})
    assert isinstance(error, InvalidRequest)
    assert (error.code, error.param) == ("invalid_value", param)


def test_tolerated_fields_of_other_generations_are_no_error() -> None:
    message = decode(
        json.dumps(
            {
                "type": "session.update",
                "session": {"tool_choice": "auto", "turn_detection": {"type": "server_vad"}},
            }
        )
    )
    assert isinstance(message, schemas.SessionUpdate)


def test_fields_a_message_does_not_have_are_passed_over() -> None:
    assert isinstance(decode('{"type": "session.end", "event_id": "evt_1"}'), schemas.SessionEnd)


def test_a_binary_frame_of_json_is_json() -> None:
    assert isinstance(decode(b'{"type": "session.end"}'), schemas.SessionEnd)


@given(raw=st.one_of(st.text(), st.binary(), st.text().map(lambda t: json.dumps({"type": t}))))
def test_garbage_is_always_refused_as_a_format(raw: str | bytes) -> None:
    try:
        decode(raw)
    except BadRequest as error:
        assert error.code == "invalid_format"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(schemas.SessionPart.__struct_fields__)


@given(session=st.dictionaries(fields, values, max_size=3))
def test_any_configuration_is_understood_or_refused_by_name(session: dict[str, Any]) -> None:
    try:
        decode(json.dumps({"type": "session.update", "session": session}))
    except InvalidRequest as error:
        assert error.code == "invalid_value"
        assert error.param is not None
        assert error.param.split(".")[0].split("[")[0] in session
