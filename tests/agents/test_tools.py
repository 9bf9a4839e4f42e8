from typing import Any

import pytest

from nur_server.agents.tools import (
    HIDDEN,
    HttpBlock,
    HttpMethod,
    check_schemas,
    check_url,
    hide_secrets,
    keep_secrets,
    normalise_tools,
    read_tools,
)
from nur_server.conversation.config import ExecutionMode, ToolRunner
from nur_server.conversation.tools import RefusedCall, check_arguments
from nur_server.errors import InvalidRequest

SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
    "required": ["order_id"],
}
MAP = {"order_id": {"type": "string", "required": True}}


def lookup(**changes: Any) -> dict[str, Any]:
    return {"name": "lookup_order", "description": "Look up order status", **changes}


@pytest.mark.parametrize(
    "tool",
    [
        lookup(parameters=MAP),
        lookup(parameters=SCHEMA),
        {"type": "function", **lookup(parameters=SCHEMA)},
        {"type": "function", "function": lookup(parameters=SCHEMA)},
        {"type": "function", "function": lookup(parameters=MAP)},
        lookup(parameters={"properties": {"order_id": {"type": "string", "required": True}}}),
    ],
    ids=["map", "flat", "flat with type", "nested", "nested map", "schema with flags"],
)
def test_every_shape_means_the_same(tool: dict[str, Any]) -> None:
    (spec,) = normalise_tools([tool])
    assert spec.name == "lookup_order"
    assert spec.description == "Look up order status"
    assert spec.parameters == SCHEMA
    assert spec.runner is ToolRunner.CLIENT


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}])
def test_a_tool_may_have_no_arguments(parameters: Any) -> None:
    (spec,) = normalise_tools([lookup(parameters=parameters)])
    assert spec.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("name", ["type", "properties", "required", "items"])
def test_an_argument_may_be_called_like_a_keyword(name: str) -> None:
    (spec,) = normalise_tools([lookup(parameters={name: {"type": "string", "required": True}})])
    assert spec.parameters == {
        "type": "object",
        "properties": {name: {"type": "string"}},
        "required": [name],
    }


def test_required_flags_count_at_every_depth() -> None:
    address = {"type": "object", "properties": {"city": {"type": "string", "required": True}}}
    (spec,) = normalise_tools(
        [lookup(parameters={"address": address, "rush": {"type": "boolean"}})]
    )
    assert spec.parameters["properties"]["address"]["required"] == ["city"]
    assert "required" not in spec.parameters


def test_options_are_read() -> None:
    (tool,) = read_tools(
        [
            lookup(
                parameters=MAP,
                execution_mode="hold",
                timeout_seconds=5,
                response_instructions={"success": "Be brief.", "error": "Apologise."},
                http={
                    "url": "https://shop.example/orders",
                    "http_method": "get",
                    "headers": [
                        {"name": "X-Key", "value": "k"},
                        {"name": "X-Old", "remove": True},
                    ],
                },
            )
        ]
    )
    assert tool.spec.execution_mode is ExecutionMode.HOLD
    assert tool.spec.timeout_seconds == 5.0
    assert tool.spec.success_instructions == "Be brief."
    assert tool.spec.error_instructions == "Apologise."
    assert tool.spec.runner is ToolRunner.SERVER
    assert tool.http == HttpBlock("https://shop.example/orders", HttpMethod.GET, (("X-Key", "k"),))


def test_the_agents_address_runs_tools_without_one() -> None:
    (spec,) = normalise_tools([lookup()], tool_url="https://shop.example/tools")
    assert spec.runner is ToolRunner.SERVER


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("lookup", "tools"),
        ({"name": "lookup"}, "tools"),
        (["lookup"], "tools[0]"),
        ([{}], "tools[0].name"),
        ([lookup(name="look up")], "tools[0].name"),
        ([lookup(name="x" * 65)], "tools[0].name"),
        ([lookup(), {"function": {"name": "!"}}], "tools[1].function.name"),
        ([lookup(), lookup()], "tools[1].name"),
        ([{"type": "web_search", "name": "w"}], "tools[0].type"),
        ([lookup(description=1)], "tools[0].description"),
        ([lookup(parameters="order_id")], "tools[0].parameters"),
        ([lookup(parameters=[])], "tools[0].parameters"),
        ([lookup(parameters={"order_id": "string"})], "tools[0].parameters.order_id"),
        (
            [lookup(parameters={"type": "object", "properties": []})],
            "tools[0].parameters.properties",
        ),
        ([lookup(parameters={"type": "array", "items": {}})], "tools[0].parameters.type"),
        ([lookup(parameters={"n": {"type": "text"}})], "tools[0].parameters.n.type"),
        ([lookup(parameters={"n": {"pattern": "("}})], "tools[0].parameters.n.pattern"),
        (
            [lookup(parameters={"n": {"$ref": "https://evil.example/s.json"}})],
            "tools[0].parameters.n",
        ),
        ([lookup(parameters={"n": {"$ref": "#/nowhere"}})], "tools[0].parameters.n"),
        ([lookup(parameters={"n": {"$dynamicRef": "#/allOf"}})], "tools[0].parameters.n"),
        ([lookup(parameters={"n": {"pattern": r"(a)\1"}})], "tools[0].parameters.n.pattern"),
        (
            [lookup(parameters={"n": {"patternProperties": {"(?=a)": {}}}})],
            "tools[0].parameters.n.patternProperties",
        ),
        ([lookup(parameters={f"n{i}": {} for i in range(1_000)})] * 2, "tools"),
        ([lookup(parameters={"n": {"$ref": "#/properties/n"}})], "tools[0].parameters.n"),
        (
            [lookup(parameters={"n": {"$ref": "#/properties/m/minimum"}, "m": {"minimum": 1}})],
            "tools[0].parameters.n",
        ),
        ([lookup(execution_mode="later")], "tools[0].execution_mode"),
        ([lookup(timeout_seconds=0)], "tools[0].timeout_seconds"),
        ([lookup(timeout_seconds=301)], "tools[0].timeout_seconds"),
        ([lookup(timeout_seconds=True)], "tools[0].timeout_seconds"),
        (
            [lookup(response_instructions={"success": "x" * 501})],
            "tools[0].response_instructions.success",
        ),
        ([lookup(http={})], "tools[0].http.url"),
        ([lookup(http={"url": "ftp://x.example"})], "tools[0].http.url"),
        ([lookup(http={"url": "https://x.example", "verb": "GET"})], "tools[0].http.verb"),
        (
            [lookup(http={"url": "https://x.example", "http_method": "TRACE"})],
            "tools[0].http.http_method",
        ),
        (
            [lookup(http={"url": "https://x.example", "headers": {"A": "b\r\nC: d"}})],
            "tools[0].http.headers",
        ),
        ([lookup(input_schema=SCHEMA)], "tools[0].input_schema"),
        ([{"name": "a", "function": {"name": "b"}}], "tools[0].name"),
        ([lookup(name=f"t{i}") for i in range(129)], "tools"),
    ],
)
def test_a_bad_tool_is_named(tools: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_schemas(read_tools(tools))
    assert caught.value.param == param
    assert "expected" in caught.value.message


def test_an_argument_may_refer_to_another_place_of_the_schema() -> None:
    parameters = {
        "type": "object",
        "properties": {"to": {"$ref": "#/$defs/place"}, "via": {"$ref": "#/allOf/0"}},
        "$defs": {"place": {"type": "string"}},
        "allOf": [{"minProperties": 1}],
    }
    (spec,) = normalise_tools([lookup(parameters=parameters)])
    assert check_arguments(spec, "lookup", '{"to": "Rome"}') == {"to": "Rome"}
    with pytest.raises(RefusedCall, match="not of type 'string'"):
        check_arguments(spec, "lookup", '{"to": 7}')


def test_a_schema_may_not_nest_without_end() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"inner": schema}}
    with pytest.raises(InvalidRequest, match="nested"):
        normalise_tools([lookup(parameters=schema)])


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/tools",
        "https://127.0.0.1/tools",
        "https://localhost/tools",
        "https://10.0.0.8/",
        "https://user:pass@shop.example/",
        "https://",
        "shop.example",
        "https://shop.example/\nHost: x",
        42,
    ],
)
def test_addresses_this_server_will_not_call(url: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_url(url, "tool_url", allow_private=False)
    assert caught.value.param == "tool_url"


def test_private_addresses_where_they_are_allowed() -> None:
    url = "http://127.0.0.1:9000/tools"
    assert check_url(url, "tool_url", allow_private=True) == url


# Secrets


def with_headers(headers: Any, url: str = "https://shop.example") -> dict[str, Any]:
    return lookup(http={"url": url, "headers": headers})


@pytest.mark.parametrize(
    "headers", [[{"name": "X-Key", "value": "s3cret"}], {"X-Key": "s3cret"}], ids=["list", "map"]
)
def test_header_values_are_hidden_and_come_back(headers: Any) -> None:
    stored = [with_headers(headers)]
    shown = hide_secrets(stored)
    assert "s3cret" not in str(shown)
    assert HIDDEN in str(shown)
    assert keep_secrets(shown, stored) == stored


def test_header_values_inside_function_are_hidden() -> None:
    stored = [{"type": "function", "function": with_headers({"X-Key": "s3cret"})}]
    assert "s3cret" not in str(hide_secrets(stored))
    assert keep_secrets(hide_secrets(stored), stored) == stored


def test_a_hidden_value_never_goes_to_another_address() -> None:
    stored = [with_headers({"X-Key": "s3cret"})]
    moved = [with_headers({"X-Key": HIDDEN}, url="https://evil.example")]
    with pytest.raises(InvalidRequest) as caught:
        keep_secrets(moved, stored)
    assert caught.value.param == "tools[0].http.headers"


def test_tools_without_headers_are_shown_as_given() -> None:
    given = [lookup(parameters=MAP), {"type": "function", "function": lookup(parameters=SCHEMA)}]
    assert hide_secrets(given) == given


# Tools the server has itself


def test_a_built_in_tool_is_named_by_its_type() -> None:
    [spec] = normalise_tools([{"type": "end_call"}])
    assert (spec.name, spec.runner) == ("end_call", ToolRunner.BUILT_IN)


def test_transfer_targets_become_the_models_choice() -> None:
    tool = {"type": "transfer_call", "targets": {"sales": "+15550100", "support": "+15550101"}}
    [spec] = normalise_tools([tool])
    assert spec.parameters["properties"] == {
        "target": {"type": "string", "enum": ["sales", "support"]}
    }
    assert spec.targets == tool["targets"]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "end_call", "name": "bye"}, "tools[0].name"),
        ({"type": "transfer_call", "targets": {"sales": "5550100"}}, "tools[0].targets.sales"),
        ({"type": "transfer_call", "targets": "sales"}, "tools[0].targets"),
        ({"type": "fly"}, "tools[0].type"),
    ],
)
def test_a_wrong_built_in_tool_is_refused(tool: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        normalise_tools([tool])
    assert refused.value.param == param
