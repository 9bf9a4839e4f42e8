"""What a conversation is set up with. Immutable: a change is a new value in a `ConfigChanged`."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nur_server.turn_taking.settings import TurnDetection, VoiceFocus


class ExecutionMode(StrEnum):
    """What the agent does while a tool runs."""

    INTERACTIVE = "interactive"
    """It goes on listening and answering."""
    HOLD = "hold"
    """It stays silent until the result is there."""


class ToolRunner(StrEnum):
    """Who runs a tool."""

    CLIENT = "client"
    """The connected client, by `tool.call` and `tool.result`."""
    SERVER = "server"
    """This server, over HTTP: the tool's own `http` block or the agent's `tool_url`."""
    BUILT_IN = "built_in"
    """The conversation itself: `conversation/phone.py`."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool the model may call, normalised from any of the accepted shapes."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments: always an object schema with `properties`."""
    execution_mode: ExecutionMode = ExecutionMode.INTERACTIVE
    timeout_seconds: float = 120.0
    runner: ToolRunner = ToolRunner.CLIENT
    success_instructions: str | None = None
    """Told to the model together with a result."""
    error_instructions: str | None = None
    """Told to the model together with a failure."""
    targets: dict[str, str] = field(default_factory=dict)
    """`transfer_call` alone: numbers by the names the model knows them by."""


@dataclass(frozen=True, slots=True)
class SilencePolicy:
    """What happens when nobody speaks. Counted from the end of playout."""

    reprompt_seconds: float | None = None
    """None: never ask again."""
    reprompt_message: str = "Are you still there?"
    max_reprompts: int = 2
    end_seconds: float | None = None
    """Silence that ends the session, counted from the last speech of either side."""


class OnMachine(StrEnum):
    """What the agent does when a machine has answered."""

    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"
    """Speak the message after the beep, then hang up."""
    CARRY_ON = "carry_on"
    """Talk to it as to a person."""


@dataclass(frozen=True, slots=True)
class AnsweringPolicy:
    """Who has answered an outbound call, and what follows from it."""

    on_machine: OnMachine = OnMachine.HANG_UP
    message: str = ""
    """Spoken after the beep, for `leave_message`."""


@dataclass(frozen=True, slots=True)
class ConversationConfig:
    """One session's settings, after agent, session and `session.update` were merged."""

    session_id: str
    system_prompt: str = ""
    greeting: str | None = None
    """Spoken word for word when the session opens. None: the user speaks first."""
    language: str = "en"
    """BCP 47: `en`, `pt-BR`."""
    tools: tuple[ToolSpec, ...] = ()
    turn_detection: TurnDetection = field(default_factory=TurnDetection)
    interruption_threshold: float = 0.5
    """0: any speech stops the agent. 1: none does. Between: how much speech it takes."""
    voice_focus: VoiceFocus = VoiceFocus.NEAR_FIELD
    context_window: int = 10
    """Prior turns included in what the model is given."""
    max_turns: int | None = 50
    """User turns that are answered; then the session ends. None: no limit."""
    max_duration_seconds: float | None = None
    goodbye: str = "I have to end our conversation here. Goodbye."
    """Spoken when `max_duration_seconds` is reached."""
    apology: str = "I'm sorry, I had a problem just now. Could you say that again?"
    """Spoken when the model fails, behind what it had said, or twice answers nothing."""
    tool_filler: str | None = "One moment, please."
    """Spoken when a tool, or the model's answer, takes longer than `tool_filler_seconds`. None:
    silence."""
    tool_filler_seconds: float = 3.0
    silence: SilencePolicy = field(default_factory=SilencePolicy)
    model_seconds: float = 10.0
    """How long the model and the synthesiser have for each piece of their answers."""
    speaks: bool = True
    """False: replies are text only (`output.type = text`)."""
    has_turn_model: bool = False
    """Whether `ScoreTurn` will be answered."""
    answering: AnsweringPolicy | None = None
    """Find out who has answered before anything is spoken. None: whoever it is, speak."""
    first_audio_seconds: float = 0.0
    """How long the greeting waits for the client's first audio: a page that sends none yet may not
    be able to play yet."""
    hello_seconds: float | None = None
    """On outbound calls: how long the agent waits for who is called to speak first; 0: not at all.
    None: it was not the agent that called."""
    eager_replies: bool = True
    """Start generating on a likely end of turn; thrown away unheard if the user goes on."""

    def tool(self, name: str) -> ToolSpec | None:
        """The tool called `name`, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)
