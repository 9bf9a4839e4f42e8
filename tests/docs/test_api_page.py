"""`docs/api.md` against the program: every field, bound, code and limit stands there."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from nur_server import errors
from nur_server.agents import declaration, tools
from nur_server.api import bodies
from nur_server.api.errors import ErrorBody
from nur_server.api.objects import (
    AgentObject,
    AnalysisObject,
    SessionObject,
    ToolCallObject,
    TranscriptObject,
    TurnObject,
)
from nur_server.api.paging import Listing
from nur_server.api.ratelimits import GENERAL, RATE_LIMITS
from nur_server.api.scopes import SCOPES
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import EndedReason
from nur_server.conversation.phone import PhoneTool
from nur_server.conversation.record import ToolStatus
from nur_server.conversation.response import Trigger
from nur_server.opening.prepare import HELLO_SECONDS
from nur_server.providers.registry import ENTRIES
from nur_server.store.records import AgentFields
from tests.docs.page import ROOT, Page, bounds, missing_links, says

PAGE = Page.read("api.md")
AGENT = PAGE.below("The agent").rows()
BODIES: dict[str, type[BaseModel]] = {
    "": declaration.AgentChanges,
    "silence.": declaration.SilenceBody,
    "turn_detection.": declaration.TurnDetectionBody,
    "input.": declaration.InputBody,
    "output.": declaration.OutputBody,
    "format.": declaration.FormatBody,
    "voicemail.": declaration.VoicemailBody,
    "analysis.": declaration.AnalysisBody,
    "analysis.fields.": declaration.AnalysisFieldBody,
}
"""Parts of an agent, by what the page calls their fields."""
FIELDS = {
    prefix + name: (body, name) for prefix, body in BODIES.items() for name in body.model_fields
}


def schema_of(body: type[BaseModel], name: str) -> Any:
    return body.model_json_schema()["properties"][name]


# The agent


def test_every_field_of_an_agent_has_its_row_and_no_other_has() -> None:
    assert set(AGENT) == set(FIELDS)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_a_field_s_row_gives_its_bounds(field: str) -> None:
    for bound in bounds(schema_of(*FIELDS[field])):
        assert says(AGENT[field], bound), f"expected {bound} in the row of {field}"


def defaults() -> Iterator[tuple[str, object]]:
    stored = AgentFields(name="", voice_id="", system_prompt="")
    talk = ConversationConfig(session_id="")
    for name in ("language", "max_turns", "context_window", "interruption_threshold"):
        yield name, getattr(stored, name)
    for name in ("goodbye", "apology", "tool_filler", "tool_filler_seconds"):
        yield name, getattr(talk, name)
    yield "hello_seconds", HELLO_SECONDS
    yield "status", stored.status.value
    yield "silence.reprompt_message", talk.silence.reprompt_message
    yield "silence.max_reprompts", talk.silence.max_reprompts
    yield "turn_detection.vad_threshold", talk.turn_detection.vad_threshold
    yield "turn_detection.interruption_delay", talk.turn_detection.interruption_delay_ms


@pytest.mark.parametrize(("field", "value"), list(defaults()))
def test_a_default_is_as_the_page_says(field: str, value: object) -> None:
    written = f"{value:g}" if isinstance(value, int | float) else str(value)
    assert AGENT[field][2].strip("`“”") == written


def test_what_the_answer_adds_is_named() -> None:
    added = set(AgentObject.model_fields) - set(declaration.AgentChanges.model_fields)
    assert added <= PAGE.below("The agent").names()


# Tools, sessions, keys


def test_every_field_of_a_tool_is_there() -> None:
    section = PAGE.below("Tools")
    assert set(section.rows()) >= tools._OWN_FIELDS - {"strict"}
    known = {*tools._OWN_FIELDS, *tools._ECHOED_FIELDS, *tools.HttpMethod, *PhoneTool}
    assert known <= section.names() | {word for word in PhoneTool if f'"{word}"' in section.text}


def test_the_tools_of_the_example_are_taken() -> None:
    shapes = json.loads(PAGE.below("Tools").blocks("json")[0])
    assert [spec.name for spec in tools.normalise_tools(shapes)] == [
        "lookup_order", "refund", "cancel"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "body"),
    [
        ("Sessions", bodies.SessionBody),
        ("Keys, scopes, tokens", bodies.KeyBody),
        ("Keys, scopes, tokens", bodies.TokenBody),
    ],
)
def test_every_field_of_a_body_has_its_row(heading: str, body: type[BaseModel]) -> None:
    rows = PAGE.below(heading).rows()
    for name in body.model_fields:
        assert name in rows, f"expected a row for {name} below {heading!r}"
        for bound in bounds(schema_of(body, name)) - set(SCOPES) - {str(len(SCOPES))}:
            assert says(rows[name], bound), f"expected {bound} in the row of {name}"


def example(heading: str, number: int = 0) -> Any:
    return json.loads(PAGE.below(heading).blocks("json")[number])


def test_the_objects_shown_are_whole() -> None:
    session, transcript = example("Sessions"), example("Transcript")
    calls = [call for turn in transcript["turns"] for call in turn["tool_calls"]]
    shown: list[tuple[type[BaseModel], Any]] = [
        (SessionObject, session),
        (TranscriptObject, transcript),
        (AnalysisObject, example("Analysis")),
        (Listing[Any], example("Lists")),
        (ErrorBody, example("Errors")),
        *((TurnObject, turn) for turn in transcript["turns"]),
        *((ToolCallObject, call) for call in calls),
    ]
    assert calls
    for kind, value in shown:
        kind.model_validate(value)
        assert set(value) == set(kind.model_fields), kind.__name__


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Keys, scopes, tokens", SCOPES),
        ("Transcript", (*Trigger, *ToolStatus)),
        ("Voices and models", [entry.id for entry in ENTRIES]),
    ],
)
def test_every_word_of_a_closed_list_is_there(heading: str, names: tuple[str, ...]) -> None:
    assert set(names) <= PAGE.below(heading).names()


def test_every_reason_for_an_end_is_there_or_in_the_page_on_calls() -> None:
    told = PAGE.below("Sessions").names() | Page.read("calls.md").names()
    assert {str(reason) for reason in EndedReason} <= told


# Errors and limits

INTERNAL = (errors.InternalError, errors.ProviderError)
"""Told of as one: what their codes name is for the server's log, and for records of calls."""


def raised() -> Iterator[tuple[int, str]]:
    """Status and code of every error that a request can lead to."""
    source = ROOT / "src" / "nur_server"
    elsewhere = ("wire", "realtime.py", "setup.py", "telemetry.py", "metrics.py")
    startup = ("engine.py", "addresses.py", "session_webhooks.py")
    files = [path for part in ("api", "calls", "store") for path in (source / part).rglob("*.py")]
    files += [source / "providers" / name for name in ("net.py", "catalogue.py")]
    for path in files:
        if not {*path.parts}.intersection(("wire", *elsewhere, *startup)):
            yield from raised_in(path)
    for kind in vars(errors).values():
        is_error = isinstance(kind, type) and issubclass(kind, errors.NurError)
        if is_error and kind.__mro__[1] is not errors.ProviderError:
            yield kind.status, kind.default_code


def raised_in(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        kind = getattr(errors, getattr(node.func, "id", ""), errors.InternalError)
        for word in node.keywords:
            if (
                not issubclass(kind, INTERNAL)
                and word.arg == "code"
                and isinstance(word.value, ast.Constant)
            ):
                yield kind.status, str(word.value.value)


@pytest.mark.parametrize(("status", "code"), sorted(set(raised())))
def test_every_error_of_a_request_is_in_the_table(status: int, code: str) -> None:
    rows = PAGE.below("Errors").text.splitlines()
    found = [row for row in rows if row.startswith(f"| {status} |") and f"`{code}`" in row]
    assert found, f"expected a row with {status} and {code}"


@pytest.mark.parametrize("group", sorted(RATE_LIMITS))
def test_every_rate_limit_is_there(group: str) -> None:
    rows = PAGE.below("Limits").rows()
    row = rows[group] if group != GENERAL else next(
        row.strip("| ").split(" | ")
        for row in PAGE.below("Limits").text.splitlines()
        if row.startswith("| agents, sessions")
    )  # fmt: skip
    assert RATE_LIMITS[group] == f"{row[1].replace(',', '')}/minute"


def test_its_links_lead_somewhere() -> None:
    assert missing_links(PAGE) == []
