"""The bodies of calls, phone numbers and caller ids."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from nur_server.agents.kinds import Body, Metadata, Moment, ShortText, Spoken

LONGEST_SECONDS = 14_400
MAX_CONTEXT_KEYS = 200

Number = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        examples=["+14155550123"],
        description="E.164, `+` and digits.",
        json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"},
    ),
]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who calls whom, and the fields that say so."""

    called: str
    shown: str | None
    """None: the account's first verified one."""
    called_param: str = "to_number"
    shown_param: str = "from_number"


class CallOptions(Body):
    """How a call goes."""

    DEFAULT_SECONDS: ClassVar[int] = 600

    context: dict[str, Any] | None = Field(
        None,
        max_length=MAX_CONTEXT_KEYS,
        description="Values of `{{variables}}` in the agent's prompt and opening line.",
    )
    metadata: Metadata | None = Field(None, description="Up to 20 pairs of your own.")
    initial_message: Spoken | None = Field(
        None, description="Spoken first, instead of the agent's `first_message`."
    )
    max_duration: int | None = Field(
        None, ge=1, le=LONGEST_SECONDS, description="Seconds from the answer; then a goodbye."
    )
    ring_seconds: int | None = Field(
        None, ge=5, le=120, description="Give up when nobody answers by then. Default 45."
    )
    recording: bool | None = Field(None, description="Record the call. Default: as the agent says.")
    record: bool | None = Field(None, description="The same as `recording`.")
    scheduled_at: Moment | None = Field(
        None, description="When to call: ISO 8601 with a zone, in the future. Null: at once."
    )
    webhook_url: str | None = Field(
        None, max_length=2048, description="https address that is told every new status."
    )

    @property
    def wants_recording(self) -> bool | None:
        """None: as the agent says."""
        return self.record if self.recording is None else self.recording

    @field_validator("scheduled_at", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return _text_of_time(value)

    @field_validator("scheduled_at")
    @classmethod
    def _has_zone(cls, moment: datetime | None) -> datetime | None:
        return None if moment is None else _zoned(moment)

    @field_validator("webhook_url")
    @classmethod
    def _not_empty(cls, url: str | None) -> str | None:
        return url or None

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        if None not in (self.recording, self.record) and self.recording != self.record:
            raise ValueError("expected recording or record, got two different ones")
        return self


class DialBody(CallOptions):
    """A call to place."""

    agent_id: str = Field(min_length=1, max_length=200)
    to_number: Number
    from_number: Number = Field(description="Caller id to show; it must be verified.")

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.to_number, self.from_number)


class CallBody(CallOptions):
    """A call an agent is to make."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["phone_number"]}, {"required": ["to_number"]}]}
    )
    DEFAULT_SECONDS: ClassVar[int] = 1800

    phone_number: Number | None = Field(None, description="Whom to call.")
    to_number: Number | None = Field(None, description="The same as `phone_number`.")
    caller_id: Number | None = Field(
        None, description="Verified caller id to show. Default: the account's first."
    )
    from_number: Number | None = Field(None, description="The same as `caller_id`.")

    @model_validator(mode="after")
    def _one_number_each(self) -> Self:
        for one, other in (("phone_number", "to_number"), ("caller_id", "from_number")):
            first, second = getattr(self, one), getattr(self, other)
            if None not in (first, second) and first != second:
                raise ValueError(f"expected {one} or {other}, got two different ones")
        if self.phone_number is None and self.to_number is None:
            raise ValueError("expected a phone_number to call, got none")
        return self

    @property
    def numbers(self) -> Numbers:
        return Numbers(
            self.phone_number or self.to_number or "",
            self.caller_id or self.from_number,
            "phone_number" if self.to_number is None else "to_number",
            "from_number" if self.caller_id is None else "caller_id",
        )


class NewCallBody(CallBody):
    """A call, and the agent that is to make it."""

    agent_id: str = Field(min_length=1, max_length=200)


class CallChanges(Body):
    """What of a scheduled call can be changed."""

    scheduled_at: Moment = Field(description="ISO 8601 with a zone, in the future.")

    @field_validator("scheduled_at", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return _text_of_time(value)

    @field_validator("scheduled_at")
    @classmethod
    def _has_zone(cls, moment: datetime) -> datetime:
        return _zoned(moment)


class PhoneNumberBody(Body):
    """A number to bring along."""

    phone_number: Number
    label: ShortText | None = None
    agent_id: str | None = Field(None, max_length=200, description="Who is to answer it.")
    termination_uri: str | None = Field(
        None, max_length=500, description="Where its carrier takes calls; kept, and not used."
    )


class AssignmentBody(Body):
    """Who is to answer a number."""

    agent_id: str = Field(min_length=1, max_length=200)


class CallerIdBody(Body):
    """A number to verify."""

    phone_number: Number
    from_number: Number | None = Field(None, description="What the call that verifies it shows.")


class CodeBody(Body):
    """What the call has spoken."""

    code: str = Field(min_length=1, max_length=20, description="Six digits.")


def _text_of_time(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise ValueError("expected a time in ISO 8601")
    return value


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("expected a time with a zone, such as 2027-01-01T09:30:00+02:00")
    return moment
