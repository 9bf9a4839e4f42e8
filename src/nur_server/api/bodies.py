"""The bodies clients send, but for agents, calls and webhooks."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from nur_server.agents.access import Origins
from nur_server.agents.declaration import Language
from nur_server.agents.kinds import Body, Metadata, Moment, ShortText, Spoken
from nur_server.api.scopes import SCOPES
from nur_server.api.tokens import (
    MAX_AGENTS,
    MAX_LIFE_SECONDS,
    MAX_SESSION_SECONDS,
    MIN_LIFE_SECONDS,
    MIN_SESSION_SECONDS,
    MOST_LIVE_SESSIONS,
    USUAL_LIVE_SESSIONS,
)


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
    transport: Literal["websocket", "webrtc"] = Field(
        "websocket",
        description="`webrtc`: the answer has a `token` and a `livekit_url` too, for browsers.",
    )


class VoiceStartBody(Body):
    """A conversation in a browser, to be begun."""

    agent_id: str = Field(min_length=1, max_length=200)
    context: dict[str, Any] | None = Field(None, description="Values of `{{variables}}`.")
    metadata: Metadata | None = Field(None, description="Up to 20 pairs of your own.")
    first_message: Spoken | None = Field(
        None, description="Spoken first, instead of the agent's own."
    )
    language: Language | None = Field(None, description="Instead of the agent's.")
    voice_id: str | None = Field(None, max_length=200, description="Instead of the agent's.")
    tts_voice: str | None = Field(None, max_length=200, description="The same as `voice_id`.")
    stt_language: Language | None = Field(None, description="The same as `language`.")
    stt_provider: str | None = Field(None, max_length=200, description="Accepted; not used.")
    tts_provider: str | None = Field(None, max_length=200, description="Accepted; not used.")
    recording: bool | None = Field(
        None, description="Whether it is recorded. Null: as the agent says."
    )

    @property
    def overrides(self) -> dict[str, str]:
        """What is said instead of the agent's."""
        asked = {
            "voice_id": self.voice_id or self.tts_voice,
            "language": self.language or self.stt_language,
        }
        return {name: value for name, value in asked.items() if value}


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


class SignInBody(Body):
    """What signs a browser in: a key, or the secret of a link."""

    key: str | None = Field(None, max_length=200, description="An API key of this server.")
    link: str | None = Field(
        None, max_length=200, description="What stands behind `#` in a sign-in link: `lnk_…`."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.key is None) == (self.link is None):
            raise ValueError("expected either key or link")
        return self


class SignInLinkBody(Body):
    """A link to make."""

    next: str = Field(
        "/",
        max_length=500,
        pattern=r"^/([A-Za-z0-9_.~?=&%-][A-Za-z0-9_./~?=&%-]*)?$",
        description="Where it leads on this server, such as `/agents`.",
    )


class TokenBody(Body):
    """A token to make."""

    expires_in_seconds: int = Field(60, ge=MIN_LIFE_SECONDS, le=MAX_LIFE_SECONDS)
    max_session_duration_seconds: int = Field(
        MAX_SESSION_SECONDS, ge=MIN_SESSION_SECONDS, le=MAX_SESSION_SECONDS
    )
    max_live_sessions: int = Field(
        USUAL_LIVE_SESSIONS,
        ge=1,
        le=MOST_LIVE_SESSIONS,
        description="Sessions opened with it that may be live at a time.",
    )
    agent_ids: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=200)]],
            Field(min_length=1, max_length=MAX_AGENTS),
        ]
        | None
    ) = Field(
        None,
        description="The agents that it opens. Null: any, and configurations of the client's own.",
    )
    allowed_origins: Origins | None = Field(
        None, description="The pages it works on, by their origin. Null: anywhere."
    )
