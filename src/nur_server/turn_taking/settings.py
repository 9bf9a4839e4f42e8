"""What a session may set of its turn-taking."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """When the user has finished, and when they interrupt."""

    vad_threshold: float = 0.5
    """Speech probability, 0–1, from which a window counts as speech. Lower hears more."""
    min_silence_ms: int | None = None
    """Shortest silence that ends a complete turn. None: chosen from what was said."""
    max_silence_ms: int | None = None
    """Silence that ends any turn. None: chosen from what was said."""
    interrupt_response: bool = True
    """Whether the user can interrupt the agent at all."""
    interruption_delay_ms: int = 0
    """Speech shorter than this never interrupts."""
    uninterruptible_turns: frozenset[str] = frozenset()
    """Kinds of response that play to their end, e.g. `greeting`."""
    client_commits: bool = False
    """The client says when the user has finished; neither silence nor words end a turn, and speech
    interrupts nothing."""
    creates_reply: bool = True
    """False: a turn that is over is not answered; the client asks for replies itself."""


class VoiceFocus(StrEnum):
    """Where the user is."""

    NEAR_FIELD = "near-field"
    """At the microphone: who sounds further away, or turned away, does not speak to the agent."""
    FAR_FIELD = "far-field"
    """Anywhere in the room, perhaps with others: every voice may speak to the agent."""
