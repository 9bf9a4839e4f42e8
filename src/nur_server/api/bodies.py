"""The bodies clients send. Unknown fields are refused, so that a misspelt one is not lost."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nur_server.api.scopes import SCOPES
from nur_server.api.tokens import (
    MAX_LIFE_SECONDS,
    MAX_SESSION_SECONDS,
    MIN_LIFE_SECONDS,
    MIN_SESSION_SECONDS,
)

MAX_PAIRS = 20
"""Of `metadata`."""
MAX_PAIR_KEY = 64
MAX_PAIR_BYTES = 4096
"""Of one value of `metadata`, as JSON."""


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _one_kind_of_number(cls, given: Any) -> Any:
        """In JSON 30.0 is as whole as 30. A field that takes fractions takes both."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in given.items()
        }


# Kinds of value


NOT_BLANK: dict[str, Any] = {"pattern": r"\S"}


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("expected text, not only spaces")
    return text


def _metadata(pairs: dict[str, Any]) -> dict[str, Any]:
    if len(pairs) > MAX_PAIRS:
        raise ValueError(f"expected at most {MAX_PAIRS} pairs, got {len(pairs)}")
    for key, value in pairs.items():
        if not 1 <= len(key) <= MAX_PAIR_KEY:
            raise ValueError(f"expected keys of 1 to {MAX_PAIR_KEY} characters, got {len(key)}")
        if len(orjson.dumps(value)) > MAX_PAIR_BYTES:
            raise ValueError(
                f"expected values of at most {MAX_PAIR_BYTES} bytes; {key!r} is longer"
            )
    return pairs


def signing_secret(secret: str) -> str:
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not 24 <= size <= 64:
        raise ValueError("expected whsec_ and 24 to 64 bytes in base64")
    return secret


ShortText = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra=NOT_BLANK),
    AfterValidator(not_blank),
]
Spoken = Annotated[str, Field(max_length=5000)]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_metadata),
    Field(
        json_schema_extra={
            "maxProperties": MAX_PAIRS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_PAIR_KEY},
        }
    ),
]
SigningSecret = Annotated[str, Field(max_length=100), AfterValidator(signing_secret)]
Moment = Annotated[datetime, Field(strict=False)]


# Sessions, keys, tokens


class SessionBody(Body):
    """A session to open."""

    agent_id: str | None = Field(
        None, max_length=200, description="May be repeated here; it must be that of the path."
    )
    metadata: Metadata | None = Field(None, description="Up to 20 pairs of your own.")
    context: dict[str, Any] | None = Field(None, description="Values of `{{variables}}`.")
    initial_message: Spoken | None = Field(
        None, description="Spoken first, instead of the agent's `first_message`."
    )
    recording: bool | None = Field(
        None, description="Whether it is recorded. Null: as the agent says."
    )


def _known_scopes(scopes: list[str]) -> list[str]:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ValueError(f"expected scopes out of {', '.join(SCOPES)}; there is no {unknown[0]!r}")
    return sorted(set(scopes))


class KeyBody(Body):
    """A key to make."""

    name: ShortText
    scopes: (
        Annotated[
            list[str],
            Field(min_length=1, max_length=len(SCOPES)),
            AfterValidator(_known_scopes),
            WithJsonSchema(
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": len(SCOPES),
                    "items": {"type": "string", "enum": list(SCOPES)},
                }
            ),
        ]
        | None
    ) = Field(None, description="Default: those of the key that makes it.")
    expires_at: Moment | None = Field(None, description="ISO 8601 with a zone. Null: never.")

    @field_validator("expires_at", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str):
            raise ValueError("expected a time in ISO 8601")
        return value

    @field_validator("expires_at")
    @classmethod
    def _has_zone(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("expected a time with a zone, such as 2027-01-01T00:00:00Z")
        return moment


class TokenBody(Body):
    """A token to make."""

    expires_in_seconds: int = Field(60, ge=MIN_LIFE_SECONDS, le=MAX_LIFE_SECONDS)
    max_session_duration_seconds: int = Field(
        MAX_SESSION_SECONDS, ge=MIN_SESSION_SECONDS, le=MAX_SESSION_SECONDS
    )
