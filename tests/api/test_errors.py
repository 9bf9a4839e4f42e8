import json
from typing import Any

import orjson
import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from nur_server.api.errors import (
    MAX_PROBLEMS,
    SOCKET_CODES,
    as_nur_error,
    dotted,
    error_body,
    ws_error,
)
from nur_server.api.nesting import MAX_NESTING, MAX_VALUES
from nur_server.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    InvalidRequest,
    NotFound,
    NurError,
    PayloadTooLarge,
    ProviderTimeout,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from tests.api.conftest import AGENT, Server, Start


def test_one_body_for_every_error() -> None:
    error = InvalidRequest("wrong", param="name", details={"expected": "text"})
    assert error_body(error, "req_1") == {
        "error": {
            "type": "invalid_request_error",
            "code": "invalid_parameter",
            "message": "wrong",
            "param": "name",
            "details": {"expected": "text"},
            "request_id": "req_1",
        },
        "detail": "wrong",
    }


def test_the_unforeseen_tells_nothing_of_the_inside() -> None:
    error = as_nur_error(RuntimeError("password=hunter2"))
    assert isinstance(error, InternalError)
    assert "hunter2" not in error.message


def test_paths_are_written_as_clients_know_them() -> None:
    assert dotted(("tools", 0, "function", "name")) == "tools[0].function.name"
    assert dotted(()) == ""


class Child(BaseModel):
    age: int


class Parent(BaseModel):
    children: list[Child]


def test_our_own_validation_is_named_too() -> None:
    with pytest.raises(ValidationError) as caught:
        Parent.model_validate({"children": [{"age": "x"}]})
    error = as_nur_error(caught.value)
    assert (error.status, error.param) == (422, "children[0].age")


@pytest.mark.parametrize(
    ("error", "code", "close"),
    [
        (Unauthorized("x"), "unauthorized", 1008),
        (Unauthorized("x", code="token_expired"), "unauthorized", 1008),
        (Forbidden("x"), "session_forbidden", 1008),
        (NotFound("x", param="agent_id"), "agent_not_found", 1008),
        (NotFound("x", code="session_not_found"), "session_not_found", 1008),
        (NotFound("x"), "session_not_found", 1008),
        (Conflict("x", code="session_expired"), "session_expired", 1008),
        (Conflict("x", code="agent_paused"), "invalid_config", 1008),
        (InvalidRequest("x"), "invalid_value", 1008),
        (InvalidRequest("x", code="immutable_field"), "immutable_field", 1008),
        (BadRequest("x"), "invalid_format", 1008),
        (BadRequest("x", code="invalid_audio"), "invalid_audio", 1008),
        (PayloadTooLarge("x"), "invalid_format", 1009),
        (Unavailable("x", code="at_capacity"), "at_capacity", 1013),
        (Unavailable("x", code="agent_timeout"), "agent_timeout", 1011),
        (Unavailable("x"), "server_error", 1011),
        (RateLimited("x", retry_after_seconds=1), "concurrency_exceeded", 1013),
        (ProviderTimeout("x", provider="p"), "agent_init_failed", 1008),
        (InternalError("x"), "internal_error", 1011),
        (ValueError("x"), "internal_error", 1011),
    ],
)
def test_what_a_socket_is_told(error: Exception, code: str, close: int) -> None:
    assert ws_error(error) == (code, close)
    assert code in SOCKET_CODES


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "not_found"), (405, "method_not_allowed"), (400, "invalid_request")]
)
def test_what_the_framework_raises(status: int, kind: str) -> None:
    error = as_nur_error(HTTPException(status, "no", {"Allow": "GET"}))
    assert isinstance(error, NurError)
    assert (error.status, error.code) == (status, kind)


# Over HTTP


async def test_an_unknown_address(server: Server) -> None:
    assert (await server.refuse("GET", "/v1/nothing", 404))["code"] == "not_found"
    assert (await server.refuse("GET", "/", 404))["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("path", "likely"),
    [
        ("/agents", "/v1/agents"),
        ("/sessions", "/v1/sessions"),
        ("/v1/agents/", "/v1/agents"),
        ("/V1/Agents", "/v1/agents"),
        ("/v1/agent", "/v1/agents"),
        ("/webhooks", "/v1/webhooks"),
    ],
)
async def test_a_slip_in_an_address_is_told(server: Server, path: str, likely: str) -> None:
    refused = await server.refuse("GET", path, 404)
    assert refused["message"] == f"there is nothing at {path}; did you mean {likely}?"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/agents", "GET, POST"),
        ("/v1/agents/agt_1", "GET, PUT, PATCH, DELETE"),
        ("/v1/webhooks", "GET, POST"),
        ("/v1/sessions", "GET"),
    ],
)
async def test_every_method_of_an_address_is_allowed(
    server: Server, path: str, allowed: str
) -> None:
    answer = await server.client.request("TRACE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_two_lengths_of_one_body_are_refused(server: Server) -> None:
    answer = await server.client.post(
        "/v1/agents", content=b"{}", headers={"Transfer-Encoding": "chunked", "Content-Length": "2"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "ambiguous_length"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "A", "sytem_prompt": "B", "voice_id": "wren"}, "did you mean 'system_prompt'?"),
        ({"name": "A", "system_prompt": "B", "voice": "wren"}, "did you mean 'voice_id'?"),
        ({"name": "A", "system_prompt": "B", "voice_id": "wren", "model": "x"}, "'llm_model'?"),
        (
            {"name": "A", "system_prompt": "B", "voice_id": "wren", "turn_detection": {"typ": 1}},
            "'type'?",
        ),
    ],
)
async def test_a_slip_in_a_field_is_told(
    server: Server, body: dict[str, object], told: str
) -> None:
    refused = await server.refuse("POST", "/v1/agents", 422, json=body)
    assert told in refused["message"]


async def test_a_wrong_method_says_which_are_right(server: Server) -> None:
    answer = await server.client.put("/healthz")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[1,", b'{"name": NaN}', b"\xff\xfe", b'"\\ud800"', b"[" * 5000]
)
async def test_a_body_that_is_no_json(server: Server, body: bytes) -> None:
    answer = await server.client.post("/v1/agents", content=body)
    expected = 400 if body else 422
    assert answer.status_code == expected
    assert answer.json()["error"]["code"] == ("invalid_json" if body else "missing_parameter")


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"'])
async def test_a_body_that_is_no_object(server: Server, body: bytes) -> None:
    error = await server.refuse("POST", "/v1/agents", 422, content=body)
    assert "expected" in error["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_the_content_type_does_not_matter(server: Server, kind: str) -> None:
    content, headers = orjson.dumps(AGENT), {"Content-Type": kind}
    await server.call("POST", "/v1/agents", 201, content=content, headers=headers)


async def test_text_with_nul_is_refused(server: Server) -> None:
    for body in ({**AGENT, "name": "A\x00"}, {**AGENT, "metadata": {"k": ["\x00"]}}):
        error = await server.refuse("POST", "/v1/agents", 400, json=body)
        assert "NUL" in error["message"]
    agent = await server.make_agent(name="a backslash: \\u0000")
    assert agent["name"] == "a backslash: \\u0000"


async def test_what_is_taken_in_can_be_shown_however_deep_it_nests(server: Server) -> None:
    agent = await server.make_agent()
    address = f"/v1/agents/{agent['id']}/sessions"
    for deep, status in ((MAX_NESTING - 2, 201), (MAX_NESTING - 1, 400), (900, 400)):
        body = f'{{"context": {{"k": {"[" * deep}{"]" * deep}}}}}'
        answer = await server.call("POST", address, status, content=body)
        if status == 400:
            assert answer["error"]["code"] == "invalid_json"
            assert f"{MAX_NESTING} deep" in answer["error"]["message"]
    await server.call("GET", "/v1/sessions")
    await server.call("GET", "/voice/sessions")


async def test_a_large_body_is_refused(start: Start) -> None:
    async with start(max_body_bytes=2048) as server:
        body = b'{"name": "' + b"x" * 4096 + b'"}'
        assert (await server.refuse("POST", "/v1/agents", 413, content=body))["code"]

        async def pieces():  # type: ignore[no-untyped-def]
            for _ in range(10):
                yield b"x" * 1024

        await server.refuse("POST", "/v1/agents", 413, content=pieces())
        await server.make_agent()


async def test_an_unforeseen_failure(server: Server) -> None:
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    server.app.add_api_route("/broken", broken)
    answer = await server.client.get("/broken")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


WIDE = [
    json.dumps({str(i): i for i in range(MAX_VALUES)}),
    json.dumps({"name": ["x"] * MAX_VALUES}),
    json.dumps({"tools": [{}] * (MAX_VALUES // 2), "metadata": {"a": [[]] * (MAX_VALUES // 2)}}),
    json.dumps([[1, 2, 3]] * (MAX_VALUES // 3)),
    "[" * (MAX_VALUES + 1),
]


@pytest.mark.parametrize("body", WIDE, ids=["fields", "a list", "objects", "lists", "torn"])
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/webhooks", "/v1/nowhere"])
async def test_a_body_of_too_many_values_is_refused(server: Server, path: str, body: str) -> None:
    error = await server.refuse("POST", path, 413, content=body)
    assert error["code"] == "payload_too_large"
    assert str(MAX_VALUES) in error["message"]


class Problem(dict[str, Any]):
    """One that counts how many of its kind were looked at closely."""

    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        Problem.looks += key == "ctx"
        return super().get(key, default)


@pytest.mark.parametrize("kind", ["extra_forbidden", "missing", "string_type"])
def test_no_more_problems_are_looked_at_than_are_told(kind: str) -> None:
    Problem.looks = 0
    problems = [
        Problem(type=kind, loc=("body", f"field_{i}"), msg="Input should be so", input=i)
        for i in range(5_000)
    ]
    error = as_nur_error(RequestValidationError(problems))
    assert len(error.details["errors"]) == MAX_PROBLEMS
    assert "4999 more" in error.message
    assert Problem.looks == MAX_PROBLEMS
