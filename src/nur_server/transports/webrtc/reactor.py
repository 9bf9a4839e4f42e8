"""Peer connections of libwebrtc, through the package `reactor-webrtc`.

Its callbacks come on threads of its own: each only hands over to the event loop, or to the audio's
queues. A connection has no `close`: it ends when it is let go of, which is done on a thread, since
it waits for threads of the library.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import reactor_webrtc as rtc
import structlog

from nur_server.errors import InvalidRequest, Unavailable
from nur_server.ports import Samples
from nur_server.transports.webrtc.audio import MediaClock, PeerAudio
from nur_server.transports.webrtc.media import (
    GATHER_SECONDS,
    VOICE_RATE,
    Candidate,
    MediaSettings,
    PeerEvents,
    PeerState,
    PeerStats,
)
from nur_server.transports.webrtc.sdp import advertised, is_tcp, sections

log = structlog.get_logger(__name__)

LIBRARY_SECONDS = 5.0
"""Longest wait for one step of the library; each takes milliseconds."""
CLOSE_SECONDS = 2.0
_T = TypeVar("_T")
_STATES = {
    "New": PeerState.NEW,
    "Connecting": PeerState.CONNECTING,
    "Connected": PeerState.CONNECTED,
    "Disconnected": PeerState.DISCONNECTED,
    "Failed": PeerState.FAILED,
    "Closed": PeerState.CLOSED,
}


@functools.cache
def shared_factory() -> rtc.PeerConnectionFactory:
    """The library's factory, of which a process can have one: its threads serve all engines."""
    return rtc.PeerConnectionFactory()


class ReactorEngine:
    """Implements `media.MediaEngine`. For one event loop."""

    def __init__(self, settings: MediaSettings) -> None:
        self.settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = MediaClock(self._loop)
        self._peers: set[ReactorPeer] = set()

    async def connect(self, events: PeerEvents) -> "ReactorPeer":
        factory = shared_factory()
        peer = ReactorPeer(factory, self._config(), self.settings, self._clock, events)
        self._peers.add(peer)
        peer.on_closed = self._peers.discard
        return peer

    def _config(self) -> rtc.RtcConfiguration:
        settings = self.settings
        servers = [
            rtc.IceServer(list(server.urls), server.username, server.credential)
            for server in settings.ice_servers
        ]
        tcp = rtc.TcpCandidatePolicy
        return rtc.RtcConfiguration(
            ice_servers=servers,
            min_port=settings.min_port,
            max_port=settings.max_port,
            bundle_policy=rtc.BundlePolicy.MaxBundle,
            tcp_candidate_policy=tcp.Enabled if settings.tcp else tcp.Disabled,
            frame_metadata=False,
            dc_chunking=False,
        )

    async def close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in tuple(self._peers)))
        await self._clock.close()


class ReactorChannel:
    """Implements `media.DataChannel`."""

    def __init__(self, channel: rtc.DataChannel) -> None:
        self.label = channel.label()
        self._channel: rtc.DataChannel | None = channel

    @property
    def is_open(self) -> bool:
        return self._channel is not None and self._channel.state() == rtc.DataChannelState.Open

    @property
    def unsent_bytes(self) -> int:
        return self._channel.buffered_amount() if self._channel is not None else 0

    def send(self, message: str | bytes) -> None:
        if self._channel is None:
            return
        is_text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else message
        with suppress(RuntimeError):  # Closed meanwhile, or its buffer of 16 MiB is full.
            self._channel.send(data, not is_text)

    def release(self) -> None:
        self._channel = None


class ReactorPeer:
    """Implements `media.MediaPeer`."""

    def __init__(
        self,
        factory: rtc.PeerConnectionFactory,
        config: rtc.RtcConfiguration,
        settings: MediaSettings,
        clock: MediaClock,
        events: PeerEvents,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._clock = clock
        self._events = events
        self.state = PeerState.NEW
        self.voice_mid: str | None = None
        self.on_closed: Callable[[ReactorPeer], None] = lambda peer: None
        self._candidates: list[Candidate] = []
        self._gathered = asyncio.Event()
        self._channels: list[ReactorChannel] = []
        self._tracks: list[Any] = []
        self._newest = 0
        self._is_closed = False
        self._voice = factory.create_audio_track_with_local_source("agent")
        self._audio = PeerAudio(self._push, events.heard)
        self._observer = self._observe()
        self._peer: rtc.PeerConnection | None = factory.create_peer_connection(
            config, self._observer
        )
        clock.add(self._audio)

    # From the library's threads

    def _observe(self) -> rtc.PeerConnectionObserver:
        observer = rtc.PeerConnectionObserver()
        observer.on_connection_state_change = lambda state: self._later(self._enter, state)
        observer.on_ice_gathering_change = lambda state: self._later(self._gathering, state)
        observer.on_ice_candidate = lambda found: self._later(self._found, found)
        observer.on_track = self._on_track
        observer.on_data_channel = lambda channel: self._later(self._opened, channel)
        return observer

    def _later(self, callback: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # The loop is closed: the process stops.
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _on_track(self, kind: rtc.MediaKind, track: rtc.Track) -> None:
        """The far end's newest audio is heard; what it sent before is not mixed in."""
        if kind != rtc.MediaKind.Audio:
            return
        self._tracks.append(track)
        order = len(self._tracks)

        def received(data: bytes, rate: int, channels: int, frames: int) -> None:
            if order >= self._newest:
                self._newest = order
                self._audio.received(data, rate, channels, frames)

        track.on_audio_frame(received)

    def _push(self, piece: bytes) -> None:
        self._voice.push_pcm(piece, VOICE_RATE, 1)

    # On the loop

    def _enter(self, state: rtc.PeerConnectionState) -> None:
        if self._is_closed:
            return
        self.state = _STATES[str(state).rpartition(".")[2]]
        if self.state is PeerState.CONNECTED:
            self._audio.is_flowing = True
        self._events.state(self.state)

    def _gathering(self, state: rtc.IceGatheringState) -> None:
        if state == rtc.IceGatheringState.Complete:
            self._gathered.set()

    def _found(self, found: rtc.IceCandidate) -> None:
        own = Candidate(found.candidate, found.sdp_mid, found.sdp_mline_index)
        if is_tcp(own) and not self._settings.tcp:
            return  # The library gathers them in spite of its policy.
        told = advertised(own, self._settings.address)
        if told is not None and not self._is_closed and told not in self._candidates:
            self._candidates.append(told)
            self._events.candidate(told)

    def _opened(self, channel: rtc.DataChannel) -> None:
        if self._is_closed:
            return
        wrapped = ReactorChannel(channel)
        self._channels.append(wrapped)

        def receive(data: bytes, is_binary: bool) -> None:
            self._later(self._received, wrapped, data, is_binary)

        channel.on_message(receive)
        if wrapped.is_open:
            self._events.channel(wrapped)
        else:
            channel.on_open(lambda: self._later(self._channel_ready, wrapped))

    def _channel_ready(self, channel: ReactorChannel) -> None:
        if not self._is_closed:
            self._events.channel(channel)

    def _received(self, channel: ReactorChannel, data: bytes, is_binary: bool) -> None:
        if not self._is_closed:
            message = bytes(data) if is_binary else bytes(data).decode("utf-8", "replace")
            self._events.message(channel, message)

    # Descriptions

    async def answer(self, offer: str) -> str:
        peer = self._alive()
        description = rtc.SessionDescription("offer", offer)
        await self._step("this offer", peer.set_remote_description(description))
        if self.voice_mid is None:
            await self._take_section(offer)
        made = await self._step("an answer to this offer", peer.create_answer())
        await self._step("its own answer", peer.set_local_description(made))
        return made.sdp

    async def _take_section(self, offer: str) -> None:
        """Send the agent's audio on the first section that receives and does not send, or else on
        the first that receives."""
        able = [s for s in sections(offer) if s.kind == "audio" and s.receives]
        able.sort(key=lambda section: section.direction != "recvonly")
        if not able:
            return
        mid = able[0].mid
        for transceiver in await self._step("its sections", self._alive().transceivers()):
            if transceiver.mid() == mid:
                both = able[0].direction == "sendrecv"
                ways = rtc.TransceiverDirection
                await self._step("the agent's audio", transceiver.set_track(self._voice))
                way = ways.SendRecv if both else ways.SendOnly
                await self._step("the agent's audio", transceiver.set_direction(way))
                self.voice_mid = mid
                return

    async def offer(self, channels: Sequence[str] = ()) -> str:
        peer = self._alive()
        kind, ways = rtc.MediaKind.Audio, rtc.TransceiverDirection
        transceiver = peer.add_transceiver(kind, ways.SendOnly)
        await self._step("the agent's audio", transceiver.set_track(self._voice))
        for label in channels:
            self._opened(peer.create_data_channel(label))
        made = await self._step("an offer", peer.create_offer())
        await self._step("its own offer", peer.set_local_description(made))
        self.voice_mid = transceiver.mid() or "0"
        return made.sdp

    async def accept(self, answer: str) -> None:
        description = rtc.SessionDescription("answer", answer)
        await self._step("this answer", self._alive().set_remote_description(description))

    async def add_candidate(self, candidate: Candidate) -> None:
        given = rtc.IceCandidate(candidate.candidate, candidate.mid, candidate.index)
        await self._step("this candidate", self._alive().add_ice_candidate(given))

    async def candidates(self) -> Sequence[Candidate]:
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._gathered.wait()
        return tuple(self._candidates)

    async def _step(self, what: str, step: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(LIBRARY_SECONDS):
                return await step
        except TimeoutError:
            raise Unavailable(f"the media library did not handle {what} in time") from None
        except (RuntimeError, ValueError) as error:
            raise InvalidRequest(
                f"expected a WebRTC description that can be used; {what} was refused: "
                f"{str(error)[:200]}",
                code="invalid_sdp",
                param="sdp",
            ) from None

    def _alive(self) -> rtc.PeerConnection:
        if self._peer is None:
            raise Unavailable("the connection has been closed")
        return self._peer

    # Audio

    def play(self, response_id: str, samples: Samples) -> None:
        self._audio.outbound.add(response_id, samples)

    def clear(self, response_id: str) -> None:
        self._audio.outbound.clear(response_id)

    @property
    def sent(self) -> tuple[str, int] | None:
        return self._audio.outbound.sent_ms

    @property
    def unsent_ms(self) -> int:
        return self._audio.outbound.queued_ms

    async def stats(self) -> PeerStats:
        report = await self._step("its statistics", self._alive().get_stats())
        audio = [s for s in report.inbound_rtp if s.kind == rtc.StreamKind.Audio]
        trips = [s.round_trip_time_s for s in report.outbound_rtp if s.round_trip_time_s]
        trips += [
            pair.current_round_trip_time_s for pair in report.candidate_pairs if pair.nominated
        ]
        return PeerStats(
            bytes_received=sum(pair.bytes_received for pair in report.candidate_pairs),
            packets_received=sum(s.packets_received for s in audio),
            packets_lost=sum(max(0, s.packets_lost) for s in audio),
            round_trip_seconds=max(trips) if trips else None,
        )

    # The end

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.state = PeerState.CLOSED
        self._audio.is_flowing = False
        observer = self._observer
        observer.on_connection_state_change = observer.on_ice_gathering_change = None
        observer.on_ice_candidate = observer.on_track = observer.on_data_channel = None
        held: list[Any] = [self._peer, self._voice, *self._tracks]
        for channel in self._channels:
            channel.release()
        self._peer = None
        self._tracks.clear()
        self._channels.clear()
        self.on_closed(self)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.to_thread(self._let_go, held)
        except TimeoutError:
            log.warning("media.close_timeout")

    def _let_go(self, held: list[Any]) -> None:
        self._clock.remove(self._audio)
        held.clear()
