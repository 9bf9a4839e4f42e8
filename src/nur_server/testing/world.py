"""What surrounds the agent in a test."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nur_server.ports import SpeechToText, TextToSpeech, TurnModel
from nur_server.providers.scripted import ScriptedTextToSpeech
from nur_server.testing.caller import FRAME_SECONDS
from nur_server.testing.listening import VoiceRecogniser, VoiceTurnModel
from nur_server.testing.memory import Memory
from nur_server.testing.phone import Phone
from nur_server.testing.voice import Voice


@dataclass
class World:
    """What surrounds the agent. What is None is scripted."""

    stt: Callable[[Voice], SpeechToText] = VoiceRecogniser
    tts: TextToSpeech = field(default_factory=ScriptedTextToSpeech)
    turn_model: Callable[[Voice], TurnModel] | None = VoiceTurnModel
    """None: the session has none, and silence and words decide alone."""
    memory: Memory = field(default_factory=Memory)
    resume_seconds: float = 30.0
    output_rate: int = 24_000
    frame_seconds: float = FRAME_SECONDS
    """Of the caller's audio."""
    phone: Phone | None = None
    """None: the caller is connected over a socket, and has no keypad."""
    answers_after_seconds: float = 0.0
    """How long it rings before the far end answers; its audio is there from the start."""
