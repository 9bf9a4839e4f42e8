"""Every declared field of an agent is accepted, stored, shown, merged into options and documented.

The fields are taken from the declaration, never from a list: one that was added halfway fails here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

import nur
from nur.agent_fields import AgentChanges as SdkChanges
from nur.objects import Agent as SdkAgent
from nur_server.agents.declaration import AgentBody, AgentChanges, Sets
from nur_server.agents.options import agent_options
from nur_server.agents.sdk_types import sdk_types
from nur_server.agents.stored import stored_fields
from nur_server.options import SessionOptions
from tests.api.conftest import LOOKUP, Server
from tests.docs.page import Page

REQUIRED = {"name": "Support", "voice_id": "marcus_v2", "system_prompt": "Be brief."}
SETS_NO_OPTION = {
    "name": "it names the agent",
    "greeting": "another name of first_message",
    "tool_url": "the server's address book of tools reads it from the record",
    "tool_secret": "the server's address book of tools reads it from the record",
    "phone_numbers": "incoming calls are routed by it",
    "metadata": "the owner's own; variables are filled in from it by the plan",
    "status": "it is asked before a session is opened",
    "analysis": "it is read once a conversation is over",
    "input.turn_detection": "its own fields do",
}
"""Why these fields set no option of a session."""
EXAMPLES: dict[str, Any] = {
    "voice_id": "claire",
    "language": "de",
    "tools": [LOOKUP],
    "llm_model": "scripted-llm",
    "stt_model": "scripted-stt",
    "tts_model": "scripted-tts",
    "tool_url": "https://example.com/tools",
    "tool_secret": "whsec_" + "QUJD" * 8,
    "phone_numbers": ["+14155550123"],
    "metadata": {"team": "blue"},
    "status": "paused",
    "analysis": {"fields": {"order": {"type": "string"}}},
    "allowed_origins": ["https://shop.example"],
    "voicemail": {"on_machine": "leave_message", "message": "Call us back."},
    "input.format": {"encoding": "audio/pcmu", "sample_rate": 8000},
    "output.format": {"encoding": "audio/pcma", "sample_rate": 8000},
    "input.language_codes": ["de"],
}
"""Values of fields whose kind alone does not say what is valid."""


def example(path: str, schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """A valid value that is not the default, by the field's schema."""
    if path in EXAMPLES:
        return EXAMPLES[path]
    if "anyOf" in schema:
        schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        inner = defs[schema["$ref"].rpartition("/")[2]]
        return {
            name: example(f"{path}.{name}", part, defs)
            for name, part in inner["properties"].items()
        }
    if "enum" in schema:
        return schema["enum"][-1]
    match schema["type"]:
        case "string":
            return "Some text."
        case "boolean":
            return True
        case "integer":
            return max(schema.get("minimum", 1), min(schema.get("maximum", 60), 60))
        case "number":
            low, high = schema.get("minimum", 0.0), schema.get("maximum", 1.0)
            return low + (high - low) / 4
        case "array":
            return [example(f"{path}[]", schema["items"], defs)]
        case kind:
            raise AssertionError(f"give {path} ({kind}) an example in EXAMPLES")


def whole() -> dict[str, Any]:
    """An agent with every declared field."""
    schema = AgentChanges.model_json_schema()
    defs = schema.get("$defs", {})
    made = {name: example(name, part, defs) for name, part in schema["properties"].items()}
    made["input"]["turn_detection"].update(min_silence=300, max_silence=900)
    made["turn_detection"].update(min_silence=300, max_silence=900)
    made["greeting"] = made["first_message"]
    return made


WHOLE = whole()


def bodies() -> Iterator[tuple[str, type[BaseModel]]]:
    def below(prefix: str, body: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        yield prefix, body
        for name, field in body.model_fields.items():
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from below(f"{prefix}{name}.", kind)

    yield from below("", AgentChanges)


FIELDS = tuple(AgentChanges.model_fields)


@pytest.fixture
async def read(server: Server) -> dict[str, Any]:
    """The agent with every field, stored over REST and read back."""
    made = await server.client.post("/v1/agents", json=WHOLE)
    assert made.status_code == 201, made.text
    got = await server.client.get(f"/v1/agents/{made.json()['id']}")
    shown: dict[str, Any] = got.json()
    return shown


async def test_every_field_is_accepted_stored_and_shown(read: dict[str, Any]) -> None:
    for name in FIELDS:
        expected = "[hidden]" if name == "tool_secret" else WHOLE[name]
        got = read[name]
        if isinstance(expected, dict) and isinstance(got, dict):
            got = {key: value for key, value in got.items() if key in expected}
        if name == "analysis":
            assert got["fields"].keys() == expected["fields"].keys()
        else:
            assert got == expected, name


async def test_every_field_can_be_changed_alone(server: Server) -> None:
    made = (await server.client.post("/v1/agents", json=REQUIRED)).json()
    for name in FIELDS:
        changed = await server.client.patch(f"/v1/agents/{made['id']}", json={name: WHOLE[name]})
        assert changed.status_code == 200, changed.text
        before, made = made, changed.json()
        assert made[name] not in (None, before[name]) or name == "greeting", name


def sets_of(body: type[BaseModel], name: str) -> tuple[str, ...]:
    return tuple(m.option for m in body.model_fields[name].metadata if isinstance(m, Sets))


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_sets_an_option_or_has_a_reason_not_to(name: str) -> None:
    body = AgentBody.model_validate({**REQUIRED, name: WHOLE[name]})
    usual = AgentBody.model_validate(REQUIRED)
    sets = agent_options(stored_fields(body)) != agent_options(stored_fields(usual))
    if name in REQUIRED:
        sets = bool(sets_of(AgentChanges, name))
    if name == "greeting":
        assert sets
        return
    assert sets != (name in SETS_NO_OPTION), f"mark {name} with Sets, or say in SETS_NO_OPTION why"


@pytest.mark.parametrize(
    ("prefix", "body", "name"),
    [(p, b, n) for p, b in bodies() for n in b.model_fields if p and "format" not in p],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_field_of_a_part_sets_an_option(
    prefix: str, body: type[BaseModel], name: str
) -> None:
    if prefix.startswith("analysis."):
        return
    part = prefix.rstrip(".").split(".")
    inside: Any = WHOLE
    for key in part:
        inside = inside[key]
    given: Any = {name: inside[name]}
    if prefix == "voicemail.":
        given = inside
    for key in reversed(part):
        given = {key: given}
    bare: Any = {}
    for key in reversed(part):
        bare = {key: bare}
    with_it = agent_options(stored_fields(AgentBody.model_validate({**REQUIRED, **given})))
    without = agent_options(stored_fields(AgentBody.model_validate({**REQUIRED, **bare})))
    assert with_it != without, f"{prefix}{name} sets nothing"


def test_every_option_named_by_the_declaration_exists() -> None:
    def check(group: type[Any], path: str) -> None:
        first, _, rest = path.partition(".")
        hints = get_type_hints(group)
        assert first in hints, f"{group.__name__} has no option {first!r}"
        if rest:
            check(hints[first], rest)

    for name in FIELDS:
        for path in sets_of(AgentChanges, name):
            check(SessionOptions, path)


def test_the_sdk_s_types_are_those_of_the_declaration() -> None:
    written = (Path(nur.__file__).parent / "agent_fields.py").read_text()
    assert written == sdk_types(), "run: python -m nur_server.agents.sdk_types"
    assert set(FIELDS) <= set(SdkAgent.model_fields)
    assert set(FIELDS) <= set(get_type_hints(SdkChanges))


def test_every_field_has_its_row_in_the_documents() -> None:
    rows = Page.read("api.md").below("The agent").rows()
    assert set(FIELDS) <= set(rows)


def test_every_field_says_what_it_is() -> None:
    assert [name for name in FIELDS if not AgentChanges.model_fields[name].description] == []
