"""Tools as clients write them, in any of three shapes, normalised once at the edge.

    {"name": "lookup", "parameters": {"order_id": {"type": "string", "required": true}}} a map
    {"name": "lookup", "parameters": {"type": "object", "properties": {…}}}              JSON Schema
    {"type": "function", "function": {"name": "lookup", "parameters": {…}}}              nested

Tools the server has itself are named by their type: `{"type": "end_call"}`, and
`{"type": "transfer_call", "targets": {"sales": "+15550100"}}`.

The original is what is stored and shown; what this module makes of it is what a session runs on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from nur_server.agents.parameters import Parameters, read_parameters
from nur_server.agents.refusals import refuse, wrong
from nur_server.agents.schema_checks import check_bounds
from nur_server.agents.schema_checks import check_schemas as check_parameters
from nur_server.conversation.config import ExecutionMode, ToolRunner, ToolSpec
from nur_server.conversation.phone import PhoneTool, phone_tool
from nur_server.providers import net

MAX_TOOLS = 128
MAX_INSTRUCTIONS = 500
"""Characters of each of `response_instructions`."""
MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, DEFAULT_TIMEOUT_SECONDS = 1, 300, 120
HIDDEN = "[hidden]"
"""Stands for a header value wherever tools are shown. Given back, it keeps the stored value."""

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")
_BUILT_IN = frozenset(PhoneTool)
_E164 = re.compile(r"\+[1-9]\d{6,14}\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]{0,4096}\Z")
_OWN_FIELDS = frozenset(
    {"name", "description", "parameters", "execution_mode", "timeout_seconds"}
    | {"response_instructions", "http", "strict"}
)
_ECHOED_FIELDS = frozenset({"deployment_id", "session_update", "image_tag"})
"""Fields of other servers' tool objects that may be given back here; nothing is done with them."""


class HttpMethod(StrEnum):
    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class HttpBlock:
    """Where a tool of its own is run."""

    url: str
    method: HttpMethod = HttpMethod.POST
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A normalised tool, and its own address where it has one."""

    spec: ToolSpec
    http: HttpBlock | None
    parameters: Parameters | None
    """As they were read; None for a tool that the server has itself."""
    is_stored: bool = False
    """It is the stored agent's own. Only such a tool is signed for with the agent's secret, is sent
    to its `tool_url`, and may reach private addresses where the settings allow it."""

    def stored(self, tool_url: str | None) -> "Tool":
        """The same as a stored agent's own; `tool_url` runs it where it has no address."""
        runner = self.spec.runner
        if runner is ToolRunner.CLIENT and tool_url:
            runner = ToolRunner.SERVER
        return replace(self, spec=replace(self.spec, runner=runner), is_stored=True)

    def is_same(self, other: "Tool") -> bool:
        """Whether it does the same at the same address, whatever shape it was written in."""
        runner = self.spec.runner
        return self.http == other.http and self.spec == replace(other.spec, runner=runner)


def normalise_tools(raw: object, *, tool_url: str | None = None) -> tuple[ToolSpec, ...]:
    """The tools a session runs on. `tool_url` runs those that have no `http` block.

    Their schemas are within the bounds, and are not compiled: that is `check_schemas`, done once
    when a tool is stored or comes over a socket.

    Raises `InvalidRequest` whose `param` is the path of the wrong value, such as
    `tools[0].parameters.properties`.
    """
    return tuple(tool.spec for tool in read_tools(raw, tool_url=tool_url))


def read_tools(raw: object, *, tool_url: str | None = None) -> tuple[Tool, ...]:
    """As `normalise_tools`, with each tool's `http` block."""
    if raw is None:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise wrong("tools", "a list of tools", raw)
    if len(raw) > MAX_TOOLS:
        raise refuse("tools", f"expected at most {MAX_TOOLS} tools, got {len(raw)}")
    check_bounds(map(_parameters_of, raw))
    tools = tuple(_read_tool(item, f"tools[{i}]", tool_url) for i, item in enumerate(raw))
    names: set[str] = set()
    for i, tool in enumerate(tools):
        if tool.spec.name in names:
            raise refuse(
                f"tools[{i}].name",
                f"expected each tool's name once, got {tool.spec.name!r} again; rename one of them",
            )
        names.add(tool.spec.name)
    return tools


def check_schemas(tools: Iterable[Tool]) -> None:
    """Compile the schema of every tool. Not for the event loop; see `agents/vetting.py`.

    Raises `InvalidRequest` that says which part is wrong, or which bound it exceeds.
    """
    check_parameters(tool.parameters for tool in tools if tool.parameters is not None)


def check_url(url: object, param: str, *, allow_private: bool) -> str:
    """An address this server may be asked to call: https, unless private ones are allowed.

    Raises `InvalidRequest`. Where its name leads is judged when it is called.
    """
    if not isinstance(url, str) or len(url) > 2048 or _CONTROL.search(url):
        raise wrong(param, "an address such as https://example.com/tools", url)
    net.check_url(url, allow_private=allow_private, param=param)
    if not allow_private and not url.lower().startswith("https:"):
        raise wrong(param, "an https address", url)
    return url


def check_addresses(tools: Iterable[Tool], *, allow_private: bool) -> None:
    """Check the address of every tool's `http` block. Raises `InvalidRequest`."""
    for i, tool in enumerate(tools):
        if tool.http is not None:
            check_url(tool.http.url, f"tools[{i}].http.url", allow_private=allow_private)


# Header values are secrets


def hide_secrets(raw: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tools as they were given, with `[hidden]` for every header value."""
    return [_with_headers(tool, lambda _name, _value: HIDDEN) for tool in raw]


def keep_secrets(
    raw: Sequence[Mapping[str, Any]], stored: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """`raw` with each `[hidden]` replaced by the value stored for that tool, address and header.

    Raises `InvalidRequest` where there is none: a value is never sent to another address than the
    one it was given for.
    """
    known = {
        (_tool_name(tool), _http_of(tool).get("url"), name.lower()): value
        for tool in stored
        for name, value in _headers_of(_http_of(tool))
    }

    def restore(i: int, tool: Mapping[str, Any]) -> dict[str, Any]:
        where = (_tool_name(tool), _http_of(tool).get("url"))

        def value_of(name: str, value: Any) -> Any:
            if value != HIDDEN:
                return value
            if (*where, name.lower()) not in known:
                raise refuse(
                    f"tools[{i}].http.headers",
                    f"expected a value for the header {name!r}: {HIDDEN} keeps the stored value, "
                    "and there is none for this tool at this address",
                )
            return known[*where, name.lower()]

        return _with_headers(tool, value_of)

    return [restore(i, tool) for i, tool in enumerate(raw)]


def _with_headers(tool: Mapping[str, Any], value_of: Any) -> dict[str, Any]:
    block = tool.get("http")
    inner = tool.get("function")
    if isinstance(inner, Mapping) and isinstance(inner.get("http"), Mapping):
        return {**tool, "function": _with_headers(inner, value_of)}
    if not isinstance(block, Mapping) or not block.get("headers"):
        return dict(tool)
    headers = block["headers"]
    changed: Any
    if isinstance(headers, Mapping):
        changed = {name: value_of(name, value) for name, value in headers.items()}
    else:
        changed = [
            {**entry, "value": value_of(str(entry.get("name")), entry["value"])}
            if isinstance(entry, Mapping) and "value" in entry
            else entry
            for entry in headers
        ]
    return {**tool, "http": {**block, "headers": changed}}


def has_address(tool: Mapping[str, Any]) -> bool:
    """Whether a tool, as it was given, has a block that says where the server is to run it."""
    inner = tool.get("function")
    blocks = [tool.get("http"), inner.get("http") if isinstance(inner, Mapping) else None]
    return any(block is not None for block in blocks)


def _tool_name(tool: Mapping[str, Any]) -> Any:
    inner = tool.get("function")
    return inner.get("name") if isinstance(inner, Mapping) else tool.get("name")


def _parameters_of(tool: object) -> object:
    if not isinstance(tool, Mapping):
        return None
    inner = tool.get("function")
    own = inner.get("parameters") if isinstance(inner, Mapping) else None
    return tool.get("parameters") if own is None else own


def _http_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = tool.get("function")
    block = tool.get("http")
    if block is None and isinstance(inner, Mapping):
        block = inner.get("http")
    return block if isinstance(block, Mapping) else {}


def _headers_of(block: Mapping[str, Any]) -> list[tuple[str, Any]]:
    headers = block.get("headers")
    if isinstance(headers, Mapping):
        return list(headers.items())
    if isinstance(headers, Sequence) and not isinstance(headers, str):
        return [
            (str(entry.get("name")), entry.get("value"))
            for entry in headers
            if isinstance(entry, Mapping) and not entry.get("remove")
        ]
    return []


# One tool


def _read_tool(raw: object, where: str, tool_url: str | None) -> Tool:
    if isinstance(raw, Mapping) and raw.get("type") in _BUILT_IN:
        return Tool(_read_built_in(raw, where), None, None)
    fields, where_fields = _flatten(raw, where)
    _check_known(fields, where_fields)
    name = fields.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        raise wrong(f"{where_fields}.name", "a name of 1 to 64 letters, digits, '_' and '-'", name)
    description = fields.get("description")
    if description is not None and not isinstance(description, str):
        raise wrong(f"{where_fields}.description", "text", description)
    http = _read_http(fields.get("http"), f"{where}.http")
    success, failure = _read_instructions(
        fields.get("response_instructions"), f"{where}.response_instructions"
    )
    parameters = read_parameters(fields.get("parameters"), f"{where_fields}.parameters")
    spec = ToolSpec(
        name=name,
        description=description or "",
        parameters=parameters.schema,
        execution_mode=_read_mode(fields.get("execution_mode"), f"{where}.execution_mode"),
        timeout_seconds=_read_timeout(fields.get("timeout_seconds"), f"{where}.timeout_seconds"),
        runner=ToolRunner.SERVER if http or tool_url else ToolRunner.CLIENT,
        success_instructions=success,
        error_instructions=failure,
    )
    return Tool(spec, http, parameters)


def _read_built_in(raw: Mapping[str, Any], where: str) -> ToolSpec:
    name = PhoneTool(raw["type"])
    known = {"type", "targets"} if name is PhoneTool.TRANSFER_CALL else {"type"}
    for field in raw.keys() - known:
        raise refuse(f"{where}.{field}", f"expected only {sorted(known)} for {name.value!r}")
    targets = raw.get("targets") or {}
    if not isinstance(targets, Mapping):
        raise wrong(f"{where}.targets", "numbers by name, such as {'sales': '+15550100'}", targets)
    for target, number in targets.items():
        if not isinstance(number, str) or not _E164.match(number):
            raise wrong(f"{where}.targets.{target}", "a number such as +15550100", number)
    return phone_tool(name, dict(targets))


def _flatten(raw: object, where: str) -> tuple[dict[str, Any], str]:
    """The tool's fields without the nesting, and the path of its name and parameters."""
    if not isinstance(raw, Mapping):
        raise wrong(where, "a tool such as {'name': …, 'parameters': {…}}", raw)
    kind = raw.get("type")
    if kind not in (None, "function"):
        raise wrong(f"{where}.type", f"'function' or one of {sorted(_BUILT_IN)}", kind)
    inner = raw.get("function")
    outer = {key: value for key, value in raw.items() if key not in ("type", "function")}
    if inner is None:
        return outer, where
    if not isinstance(inner, Mapping):
        raise wrong(f"{where}.function", "an object with name and parameters", inner)
    twice = sorted(outer.keys() & inner.keys())
    if twice:
        raise refuse(
            f"{where}.{twice[0]}",
            f"expected {twice[0]!r} either in the tool or in its 'function', got it in both",
        )
    return {**outer, **inner}, f"{where}.function"


def _check_known(fields: Mapping[str, Any], where: str) -> None:
    for key, value in fields.items():
        if key not in _OWN_FIELDS and key not in _ECHOED_FIELDS and value is not None:
            raise refuse(
                f"{where}.{key}",
                f"expected only the fields {', '.join(sorted(_OWN_FIELDS))} in a tool, got {key!r}",
                code="unknown_parameter",
            )


def _read_mode(raw: object, where: str) -> ExecutionMode:
    if raw is None:
        return ExecutionMode.INTERACTIVE
    try:
        return ExecutionMode(str(raw))
    except ValueError:
        raise wrong(where, "'interactive' or 'hold'", raw) from None


def _read_timeout(raw: object, where: str) -> float:
    if raw is None:
        return float(DEFAULT_TIMEOUT_SECONDS)
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if not is_number or not MIN_TIMEOUT_SECONDS <= raw <= MAX_TIMEOUT_SECONDS:  # type: ignore[operator]
        raise wrong(where, f"{MIN_TIMEOUT_SECONDS} to {MAX_TIMEOUT_SECONDS} seconds", raw)
    return float(raw)  # type: ignore[arg-type]


def _read_instructions(raw: object, where: str) -> tuple[str | None, str | None]:
    if raw is None:
        return None, None
    if not isinstance(raw, Mapping) or not raw.keys() <= {"success", "error"}:
        raise wrong(where, "an object with 'success' and 'error'", raw)
    for key, text in raw.items():
        if text is not None and (not isinstance(text, str) or len(text) > MAX_INSTRUCTIONS):
            raise wrong(f"{where}.{key}", f"text of at most {MAX_INSTRUCTIONS} characters", text)
    return raw.get("success"), raw.get("error")


def _read_http(raw: object, where: str) -> HttpBlock | None:
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        raise wrong(where, "an object with 'url'", raw)
    unknown = sorted(raw.keys() - {"url", "http_method", "method", "headers"})
    if unknown:
        raise refuse(
            f"{where}.{unknown[0]}",
            f"expected only url, http_method and headers, got {unknown[0]!r}",
            code="unknown_parameter",
        )
    url = check_url(raw.get("url"), f"{where}.url", allow_private=True)
    given = raw.get("http_method", raw.get("method"))
    try:
        method = HttpMethod.POST if given is None else HttpMethod(str(given).upper())
    except ValueError:
        raise wrong(f"{where}.http_method", f"one of {', '.join(HttpMethod)}", given) from None
    return HttpBlock(url, method, _read_headers(raw.get("headers"), f"{where}.headers"))


def _read_headers(raw: object, where: str) -> tuple[tuple[str, str], ...]:
    if raw is None:
        return ()
    if not isinstance(raw, Mapping | list | tuple) or len(raw) > 64:
        raise wrong(where, "a list of at most 64 {'name': …, 'value': …}", raw)
    if not isinstance(raw, Mapping):
        for i, entry in enumerate(raw):
            if not isinstance(entry, Mapping) or "name" not in entry:
                raise wrong(f"{where}[{i}]", "{'name': …, 'value': …}", entry)
    headers = _headers_of({"headers": raw})
    for name, value in headers:
        if not _HEADER_NAME.match(name):
            raise refuse(where, f"expected an HTTP header name, got {name[:64]!r}")
        if not isinstance(value, str) or not _HEADER_VALUE.match(value):
            raise refuse(where, f"expected the value of the header {name!r} as one line of text")
    return tuple(headers)
