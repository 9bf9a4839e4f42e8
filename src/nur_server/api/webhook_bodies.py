"""The bodies clients send about webhooks."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from nur_server.agents.kinds import Body, SigningSecret
from nur_server.store.events import (
    EVENT_NAMES,
)

MAX_URL = 2000


def _known_events(events: list[str]) -> list[str]:
    unknown = sorted(set(events) - set(EVENT_NAMES))
    if unknown:
        raise ValueError(
            f"expected events out of {', '.join(EVENT_NAMES)}; there is no {unknown[0][:80]!r}"
        )
    return list(dict.fromkeys(events))


def _whole_url(url: str) -> str:
    if "#" in url or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        raise ValueError("expected an address without spaces and without a fragment")
    return url


Url = Annotated[
    str, Field(min_length=1, max_length=MAX_URL, examples=["https://example.com/hooks"]),
    AfterValidator(_whole_url),
]  # fmt: skip
Events = Annotated[
    list[str],
    Field(min_length=1, max_length=len(EVENT_NAMES)),
    AfterValidator(_known_events),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "maxItems": len(EVENT_NAMES),
            "items": {"type": "string", "enum": list(EVENT_NAMES)},
        }
    ),
]
Description = Annotated[str, Field(max_length=500)]
AgentId = Annotated[str, Field(min_length=1, max_length=200)]


class WebhookBody(Body):
    """A webhook to make."""

    url: Url
    events: Events = Field(description="`*` for all; names of other products are understood too.")
    agent_id: AgentId | None = Field(None, description="Only events of this agent.")
    description: Description = ""
    secret: SigningSecret | None = Field(
        None, description="`whsec_` and 24 to 64 bytes in base64. Default: one is made."
    )
    enabled: bool = True


class WebhookChanges(Body):
    """What to change of a webhook."""

    url: Url | None = None
    events: Events | None = None
    agent_id: AgentId | None = Field(None, description="Null: events of every agent.")
    description: Description | None = None
    enabled: bool | None = Field(None, description="True enables one that had failed for too long.")

    def changes(self) -> dict[str, Any]:
        """The fields that were sent; null is a value of `agent_id` alone."""
        sent = self.model_dump(exclude_unset=True)
        return {k: v for k, v in sent.items() if v is not None or k == "agent_id"}


class RotationBody(Body):
    """A new secret."""

    secret: SigningSecret | None = Field(None, description="Default: one is made.")
