"""The port between Nur and a WebRTC library: peer connections, their audio and data channels.

Everything here is called on the event loop, and calls back on it. What a library does on threads of
its own stays inside its adapter.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nur_server.ports import Samples

VOICE_RATE = 24_000
"""Samples per second of the agent's audio: that of the voices. The library encodes Opus from it."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server that both ends may use."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """How media reaches this server."""

    min_port: int = 0
    """Of the ports that media uses. 0: any that is free."""
    max_port: int = 0
    tcp: bool = True
    """Offer TCP too, for networks that carry no UDP."""
    address: str | None = None
    """The address to offer instead of this machine's own: behind a NAT with mapped ports."""
    ice_servers: tuple[IceServer, ...] = ()


class PeerState(Enum):
    """How far a peer connection is, in the words of the W3C's `RTCPeerConnectionState`."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    """Nothing comes at the moment; it may recover."""
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address where a peer may be reached (RFC 8839)."""

    candidate: str
    """`candidate:…`. Empty: there are no more."""
    mid: str | None = None
    index: int | None = None
    """Of the media section."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    """What a peer connection has carried so far."""

    bytes_received: int = 0
    """Of everything: media, data and ICE's own checks."""
    packets_received: int = 0
    """Of the far end's audio."""
    packets_lost: int = 0
    """Which the library concealed: from the next packet's redundancy, or by drawing out the last.
    """
    round_trip_seconds: float | None = None
    """None: not measured yet."""


class DataChannel(Protocol):
    """An ordered channel for messages. A closed one drops what it is given."""

    @property
    def label(self) -> str: ...

    @property
    def is_open(self) -> bool: ...

    @property
    def unsent_bytes(self) -> int: ...

    def send(self, message: str | bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class PeerEvents:
    """What the owner of a peer connection is called back with, on the event loop."""

    state: Callable[[PeerState], None]
    heard: Callable[[Samples], None]
    """The far end's audio: mono at `LISTEN_RATE`, without gaps once its first sound has come."""
    channel: Callable[[DataChannel], None]
    """The far end, or this one, has opened a data channel."""
    message: Callable[[DataChannel, str | bytes], None]
    candidate: Callable[[Candidate], None]
    """Of this end."""


class MediaPeer(Protocol):
    """One peer connection. Methods raise `InvalidRequest` for what the library refuses."""

    @property
    def state(self) -> PeerState: ...

    async def answer(self, offer: str) -> str:
        """Take an offer, the first or a later one, and answer it.

        The agent's audio goes out on the first audio section of any offer that may receive."""
        ...

    async def offer(self, channels: Sequence[str] = ()) -> str:
        """Offer the agent's audio alone, and data channels with these labels."""
        ...

    async def accept(self, answer: str) -> None:
        """Take the answer to `offer`."""
        ...

    async def add_candidate(self, candidate: Candidate) -> None: ...

    async def candidates(self) -> Sequence[Candidate]:
        """Those of this end, once all are known or `GATHER_SECONDS` have passed."""
        ...

    def play(self, response_id: str, samples: Samples) -> None:
        """Send audio at `VOICE_RATE`, behind what was given before."""
        ...

    def clear(self, response_id: str) -> None:
        """Drop audio of the response that has not left yet."""
        ...

    @property
    def sent(self) -> tuple[str, int] | None:
        """The response whose audio leaves now, and the milliseconds of it that have left."""
        ...

    @property
    def unsent_ms(self) -> int:
        """Audio given and not sent yet."""
        ...

    @property
    def voice_mid(self) -> str | None:
        """The section that carries the agent's audio. None: no offer had one to carry it."""
        ...

    async def stats(self) -> PeerStats: ...

    async def close(self) -> None:
        """Release everything, in bounded time. May be called twice."""
        ...


class MediaEngine(Protocol):
    """Makes peer connections. One for the process."""

    @property
    def settings(self) -> MediaSettings: ...

    async def connect(self, events: PeerEvents) -> MediaPeer: ...

    async def close(self) -> None: ...


GATHER_SECONDS = 2.0
"""Longest wait for the addresses of this end; a TURN server that does not answer costs as much."""

OpenEngine = Callable[[], Awaitable[MediaEngine]]
