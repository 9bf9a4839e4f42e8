"""Kinds of value that the bodies of requests are made of. Unknown fields of a body are refused, so
that a misspelt one is not lost."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

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
FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Times within these years stay times in every zone, and when a few years are added to them."""


def _in_range(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"expected a time from the year {FIRST_YEAR} to {LAST_YEAR}")
    return moment


Moment = Annotated[datetime, Field(strict=False), AfterValidator(_in_range)]
