"""Everything a session needs to know before it starts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from nur_server.conversation.config import ConversationConfig
from nur_server.options import SessionOptions
from nur_server.ports import LanguageModel, ListenOptions, SessionAbout, SpeechToText, TextToSpeech

CheckTransfer = Callable[[str], None]
"""Raises `ProviderError` for a number that a call may not be transferred to."""


@dataclass(frozen=True, slots=True)
class SessionAccess:
    """How the session was made, and what proves the right to come back to it."""

    key_id: str | None = None
    """The key it was made with, itself or through a token. None: not with a key."""
    token_id: str | None = None
    """The browser token that opened it."""
    secret_hash: str | None = field(default=None, repr=False)
    """Of the secret in its `websocket_url`. None: it has no such address."""


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """One session's engines and settings. Immutable: a change is a new value."""

    account_id: str
    session_id: str
    agent_id: str | None
    """None: configured by `session.update` alone."""
    conversation: ConversationConfig
    listen: ListenOptions
    voice: str
    """A voice of the text-to-speech engine's own."""
    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    speed: float = 1.0
    """Speaking rate; 1 is the voice's own."""
    volume: float = 1.0
    """Gain on the agent's audio."""
    output_rate: int = 24_000
    """Samples per second of the audio handed to `Transport.play`."""
    temperature: float | None = None
    max_tokens: int | None = None
    is_recorded: bool = False
    keep_recording_days: int | None = None
    """None: for good."""
    options: SessionOptions = field(default_factory=SessionOptions)
    """What was asked for, as clients are shown it."""
    warnings: tuple[str, ...] = ()
    """What the client should know: options without effect, engines that stand in for others."""
    expires_at: datetime | None = None
    """When the session ends at the latest. None: never."""
    access: SessionAccess = field(default_factory=SessionAccess)
    check_transfer: CheckTransfer | None = None
    """Asked before each transfer of a phone call. None: every number is allowed."""

    @property
    def about(self) -> SessionAbout:
        """What a client is shown of it."""
        return SessionAbout(
            self.session_id, self.agent_id, self.options, self.warnings, self.expires_at
        )
