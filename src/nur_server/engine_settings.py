"""The table of engines: several model servers, and engines of other packages, of one kind.

`NUR_ENGINES` is the path of a TOML or JSON file, or JSON itself:

    [[engines]]
    name = "kokoro"
    kind = "tts"
    url = "http://localhost:8880/v1"
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    model_validator,
)

ModelKind = Literal["stt", "llm", "tts"]
MAX_ENGINES = 64
"""Engines of a table: each costs a connection every time it is asked whether it is there."""
MAX_FILE_BYTES = 1_048_576
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]


class EngineSettings(BaseModel):
    """One engine. A field that does not exist is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Word
    """Its id in the model catalogue, which an agent's `llm_model`, `stt_model` or `tts_model`
    names."""
    kind: ModelKind
    type: Word = "openai"
    """How it is spoken to: `openai`, `vllm-realtime` (stt alone), or the name of an entry point."""
    url: HttpUrl | None = None
    """Base of its API, up to and including `/v1`."""
    model: Word | None = None
    """The model's id on that server. None: `name`."""
    voice: Word | None = None
    """A voice of a speech server, for every voice that is not its own."""
    key: SecretStr | None = None
    key_env: Word | None = None
    """The variable that holds the key, in place of `key`."""
    default: bool = False
    """Used by agents that name no model of this kind. Otherwise the first of a kind is."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For an engine of another package, which says what it takes."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.voice is not None and self.kind != "tts":
            raise ValueError(f"expected voice only where kind is tts, got kind {self.kind}")
        return self

    @property
    def server_model(self) -> str:
        return self.model or self.name


def read_engines(given: str | list[Any], variables: Mapping[str, str | None]) -> Any:
    """The table as `Settings` keeps it, keys taken from `variables` where `key_env` names one.

    Raises `ValueError` that says which engine is wrong, and never what its key is.
    """
    rows = _rows(given) if isinstance(given, str) else given
    if not isinstance(rows, list):
        raise ValueError("expected a list of engines, [[engines]] in TOML; got something else")
    if len(rows) > MAX_ENGINES:
        raise ValueError(f"expected at most {MAX_ENGINES} engines, got {len(rows)}")
    engines = [_engine(number, row, variables) for number, row in enumerate(rows, 1)]
    _check_together(engines)
    return tuple(engines)


def _rows(text: str) -> Any:
    text = text.strip()
    if not text:
        return []
    if text[0] in "[{":
        return _listed(_json(text))
    path = Path(text).expanduser()
    if path.suffix not in (".toml", ".json"):
        raise ValueError(f"expected JSON or the path of a .toml or .json file; got {text[:80]!r}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(f"expected a file that can be read; got {path}: {reason}") from None
    return _listed(_toml(content) if path.suffix == ".toml" else _json(content))


def _listed(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    if others := set(content) - {"engines"}:
        raise ValueError(f"expected engines alone, got also {', '.join(sorted(others))}")
    return content.get("engines", [])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"expected JSON; got a text that is none: {error}") from None


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"expected TOML; got a text that is none: {error}") from None


def _engine(number: int, row: Any, variables: Mapping[str, str | None]) -> EngineSettings:
    if isinstance(row, EngineSettings):
        return row
    if not isinstance(row, dict):
        raise ValueError(f"engine {number}: expected a table, got {type(row).__name__}")
    name = row.get("name")
    place = f"engine {number} ({name[:80]})" if isinstance(name, str) else f"engine {number}"
    try:
        engine = EngineSettings.model_validate(row)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        told = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            told = f"there is no such field; fields: {', '.join(EngineSettings.model_fields)}"
        raise ValueError(f"{place}: {f'{field}: ' if field else ''}{told}") from None
    if engine.key_env is None:
        return engine
    if engine.key is not None:
        raise ValueError(f"{place}: expected key or key_env, got both")
    key = variables.get(engine.key_env)
    if not key:
        raise ValueError(f"{place}: key_env: expected a variable that is set, got {engine.key_env}")
    return engine.model_copy(update={"key": SecretStr(key)})


def _check_together(engines: list[EngineSettings]) -> None:
    ids = [(engine.kind, engine.name) for engine in engines]
    twice = next((id for id in ids if ids.count(id) > 1), None)
    if twice is not None:
        raise ValueError(f"expected each {twice[0]} engine once, got {twice[1]!r} twice")
    defaults = [engine.kind for engine in engines if engine.default]
    double = next((kind for kind in defaults if defaults.count(kind) > 1), None)
    if double is not None:
        raise ValueError(f"expected at most one default of a kind, got several for {double}")
