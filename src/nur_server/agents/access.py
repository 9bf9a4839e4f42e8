"""What clients without a key may set in an agent's sessions, and which pages may open them."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

CLIENT_OVERRIDES: Mapping[str, str] = {
    "system_prompt": "system_prompt",
    "greeting": "greeting",
    "input.type": "input.modality",
    "input.format": "input.format",
    "input.turn_detection": "input.turn_detection",
    "input.keyterms": "input.keyterms",
    "input.transcription_mode": "input.transcription_mode",
    "input.transcription_prompt": "input.transcription_prompt",
    "input.continuous_partials": "input.wants_partials",
    "input.language_codes": "input.languages",
    "input.voice_focus": "input.voice_focus",
    "input.voice_focus_threshold": "input.voice_focus_threshold",
    "output.type": "output.modality",
    "output.voice": "output.voice_id",
    "output.format": "output.format",
    "output.volume": "output.volume_percent",
}
"""What a client without a key can be allowed to set, with the option it sets. Tools stay the
agent's: what runs at its addresses is signed with its secret."""
USUAL_OVERRIDES = ("input.format", "output.format", "input.turn_detection")
"""What it may set where the agent does not say."""


def _override(name: str) -> str:
    if name not in CLIENT_OVERRIDES:
        raise ValueError(f"expected one of {', '.join(CLIENT_OVERRIDES)}")
    return name


ClientOverride = Annotated[
    str,
    AfterValidator(_override),
    WithJsonSchema({"type": "string", "enum": list(CLIENT_OVERRIDES)}),
]

MAX_ORIGINS = 20
_PATTERN = (
    r"^https?://([a-z0-9]|[a-z0-9][a-z0-9.-]{0,252}[a-z0-9]|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?$"
)


def _origin(text: str) -> str:
    if not re.fullmatch(_PATTERN, text):
        raise ValueError(
            "expected an origin such as https://shop.example, in small letters and without a path"
        )
    usual = ":443" if text.startswith("https:") else ":80"
    return text.removesuffix(usual)


Origin = Annotated[
    str,
    AfterValidator(_origin),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "maxLength": 300}),
]
Origins = Annotated[list[Origin], Field(max_length=MAX_ORIGINS)]


def is_allowed_origin(header: str | None, allowed: Sequence[str] | None) -> bool:
    """Whether the page with this `Origin` header is among those allowed. None: all are.

    Who sends no such header is no page.
    """
    return allowed is None or (header is not None and header.lower() in allowed)
