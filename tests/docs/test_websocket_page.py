"""`docs/websocket.md` against the program: every event, field, code and limit stands there, and
the clients it shows talk to a server."""

import asyncio
import json
import shutil
import types
import wave
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nur_server.api import errors
from nur_server.api.routes import realtime
from nur_server.api.wire.realtime import schemas
from nur_server.api.wire.realtime.codec import _FAREWELLS, KINDS, AudioFrames, decode
from nur_server.api.wire.realtime.options import _PARAMS, echo
from nur_server.conversation.notices import ReplyStatus
from nur_server.meter import Allowance
from nur_server.opening.plan import _IMMUTABLE
from nur_server.options import SessionOptions
from nur_server.ports import SessionAbout
from nur_server.providers.scripted import Call
from nur_server.session.client_link import KEPT_NOTICES
from nur_server.settings import Settings
from nur_server.transports import client
from nur_server.transports.websocket import Limits
from tests.api_realtime.conftest import RATE, Serve, tone
from tests.docs.page import Page, bounds, missing_links, named, says

PAGE = Page.read("websocket.md")
CLIENT, SERVER = PAGE.below("What the client sends"), PAGE.below("What the server sends")
UPDATE = PAGE.below("session.update").rows()
MESSAGES = {str(kind.__struct_config__.tag): kind for kind in schemas.ClientMessage.__args__}
EVENTS = {str(kind.__struct_config__.tag): kind for kind in schemas.ServerMessage.__subclasses__()}
TALK_SECONDS = 60.0
TOOL = {
    "name": "lookup_order",
    "description": "Looks up an order.",
    "parameters": {"order_id": {"type": "string", "required": True}},
}


# Events


def test_every_event_has_its_row_and_no_other_has() -> None:
    assert set(MESSAGES) == KINDS
    assert set(CLIENT.rows()) - {"type"} == KINDS
    assert set(SERVER.rows()) - {"type"} == set(EVENTS)


@pytest.mark.parametrize("kind", sorted({*MESSAGES, *EVENTS}))
def test_an_event_s_row_names_its_fields(kind: str) -> None:
    section, message = (CLIENT, MESSAGES[kind]) if kind in MESSAGES else (SERVER, EVENTS[kind])
    fields = set(message.__struct_fields__) - {"timestamp"}
    assert fields <= set(named(section.rows()[kind][1]))


@pytest.mark.parametrize("example", CLIENT.json_lines(), ids=lambda example: example["type"])
def test_what_a_client_is_shown_to_send_is_understood(example: dict[str, Any]) -> None:
    assert isinstance(decode(json.dumps(example)), MESSAGES[example["type"]])


@pytest.mark.parametrize("example", SERVER.json_lines(), ids=lambda example: example["type"])
def test_what_the_server_is_shown_to_send_is_what_it_sends(example: dict[str, Any]) -> None:
    kind = EVENTS[example["type"]]
    msgspec.convert(example, kind)
    assert set(example) == {"type", *kind.__struct_fields__}


def test_every_event_has_its_example() -> None:
    assert {example["type"] for example in CLIENT.json_lines()} == KINDS
    assert {example["type"] for example in SERVER.json_lines()} == set(EVENTS)


def test_the_settings_in_force_are_named() -> None:
    shown = echo(SessionAbout("ses_1", None, SessionOptions(), (), None))
    names = {*shown, *shown["input"], *shown["output"]}
    (text,) = [line for line in SERVER.text.splitlines() if line.startswith("`config` has")]
    assert names == set(named(text)) - {"config", "[hidden]"}
    assert {str(status) for status in ReplyStatus} <= set(named(SERVER.rows()["reply.done"][2]))


# session.update


def fields_of(part: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    """The schema of each field of `session`, by its path. An audio format is one field."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(part):
        inner = [kind for kind in _kinds(field.type) if issubclass(kind, schemas.Part)]
        if inner and inner[0] is not schemas.AudioFormatPart:
            found |= fields_of(inner[0], f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = msgspec.json.schema(
                msgspec.defstruct("One", [(field.name, field.type)])
            )
    return found


def _kinds(annotation: Any) -> list[type]:
    parts = getattr(annotation, "__args__", (annotation,))
    return [part for part in parts if isinstance(part, type) and not _is_generic(part)]


def _is_generic(part: type) -> bool:
    return isinstance(part, types.GenericAlias)


FIELDS = fields_of(schemas.SessionPart)


def test_every_field_of_session_update_has_its_row_and_no_other_has() -> None:
    assert {name for name in UPDATE if name != "Field"} == set(FIELDS)


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"webhook.url", "tool_choice"}))
def test_a_field_s_row_gives_its_bounds(field: str) -> None:
    if field.startswith("turn_detection.") or field == "output.format":
        return  # Their rows refer to the others.
    for bound in bounds(FIELDS[field]) - {"audio/pcm", "One"}:
        assert says(UPDATE[field], bound), f"expected {bound} in the row of {field}"


def test_what_cannot_change_later_says_so() -> None:
    fixed = {name for name, row in UPDATE.items() if row[3].startswith("no")}
    known = {_PARAMS.get(option, option) for option in _IMMUTABLE}
    assert {name.split(".")[0] if "webhook" in name else name for name in fixed} == {
        *known, "agent_id"
    }  # fmt: skip


# Connecting, errors, limits


def test_what_an_address_may_ask_for_is_there() -> None:
    rows = PAGE.below("Connecting").rows()
    assert set(realtime._ENCODINGS) <= set(named(rows["encoding"][1]))
    assert {frames.value for frames in AudioFrames} <= set(named(rows["audio"][1]))


def test_every_error_code_has_its_row_and_close_code() -> None:
    rows = PAGE.below("Errors").rows()
    codes = {name for name in rows if not name.startswith("server_shutdown")}
    assert codes - {"code"} == errors.SOCKET_CODES
    for code in errors.SOCKET_CODES:
        closes = rows[code][2]
        usual = errors._CLOSE_CODES.get(code, errors.POLICY)
        assert closes.startswith("no") or str(usual) in closes, code
        own = realtime._SESSION_CLOSE_CODES.get(code)
        assert own is None or str(own) in closes, code


def test_every_close_code_has_its_row() -> None:
    cells = [line.split(" | ")[0].strip("| ") for line in PAGE.text.splitlines()]
    listed = {int(cell) for cell in cells if cell.isdecimal()}
    sent = {errors.POLICY, errors.TOO_BIG, *errors._CLOSE_CODES.values(), *_FAREWELLS.values()}
    assert listed == {1000, 1006, *sent, *realtime._SESSION_CLOSE_CODES.values()}


def test_limits_are_as_the_page_says() -> None:
    limits = Limits()
    idle_minutes = client.IDLE_SECONDS / 60
    for text in (
        f"| First message on `/v1/ws` | {realtime.FIRST_MESSAGE_SECONDS:g} s;",
        f"| Nothing at all from a connected client | {idle_minutes:g} minutes;",
        f"once {limits.backlog_seconds:g} s of audio or {limits.backlog_messages:,} messages wait",
        f"not taken for {limits.write_seconds:g} s",
        f"Up to {Allowance().burst_seconds:g} s may run ahead",
        f"events, up to {KEPT_NOTICES},",
        f"within {Settings.model_fields['resume_seconds'].default:g} s (`NUR_RESUME_SECONDS`)",
    ):
        assert text in PAGE.text


def test_its_links_lead_somewhere() -> None:
    assert missing_links(PAGE) == []


# The clients


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """A recording in which somebody says something."""
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.concatenate([np.zeros(RATE // 5, np.int16), tone(0.5)]).tobytes())
    return path


REPLIES = [[Call("lookup_order", {"order_id": "1042"})], "It has shipped."]


async def test_the_client_in_python_asks_runs_a_tool_and_keeps_the_answer(
    serve: Serve, question: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    names: dict[str, Any] = {"__name__": "client"}
    async with serve(replies=REPLIES) as server:
        monkeypatch.setenv("NUR_API_KEY", server.key)
        monkeypatch.setenv("NUR_BASE_URL", f"http://{server.address}")
        exec(PAGE.blocks("python")[0], names)
        agent_id = await server.make_agent(tools=[TOOL])
        url = await asyncio.to_thread(names["open_session"], agent_id)
        async with asyncio.timeout(TALK_SECONDS):
            answer = await names["talk"](url, str(question))
    told = capsys.readouterr().out
    assert "you:   Where is my order?" in told
    assert "agent: It has shipped." in told
    assert "ended: client_ended" in told
    assert "error:" not in told
    assert len(answer) > RATE // 10


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_the_client_in_javascript_does_the_same(
    serve: Serve, question: Path, tmp_path: Path
) -> None:
    for name, code in zip(("conversation.mjs", "talk.mjs"), PAGE.blocks("js"), strict=True):
        (tmp_path / name).write_text(code)
    async with serve(replies=REPLIES) as server:
        agent_id = await server.make_agent(tools=[TOOL])
        process = await asyncio.create_subprocess_exec(
            "node", "--experimental-websocket", "talk.mjs", agent_id, str(question),
            cwd=tmp_path,
            env={
                "PATH": str(Path(shutil.which("node") or "").parent),
                "NUR_API_KEY": server.key,
                "NUR_BASE_URL": f"http://{server.address}",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(TALK_SECONDS):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    told = out.decode()
    assert process.returncode == 0, err.decode()
    assert "you:   Where is my order?" in told
    assert "agent: It has shipped." in told
    assert "code: 1000, reason: 'client_ended'" in told
