"""Two peer connections as one: the client's audio comes over one, the agent's goes over the other.

Clients of LiveKit before its single connection work like this. The client offers the first, this
server the second.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from nur_server.ports import Samples
from nur_server.transports.webrtc.media import (
    Candidate,
    DataChannel,
    MediaEngine,
    MediaPeer,
    PeerEvents,
    PeerState,
    PeerStats,
)


class SplitPeer:
    """Implements `media.MediaPeer`. Offers and candidates name the connection they are for."""

    def __init__(self, publisher: MediaPeer, subscriber: MediaPeer) -> None:
        self.publisher = publisher
        self.subscriber = subscriber

    @classmethod
    async def connect(cls, engine: MediaEngine, events: PeerEvents) -> "SplitPeer":
        """Messages come over both; what is sent goes over the subscriber's channels. The state is
        the subscriber's, which is there from the start."""

        def ignore_state(state: PeerState) -> None: ...

        def ignore_channel(channel: DataChannel) -> None: ...

        listening = replace(events, state=ignore_state, channel=ignore_channel)
        publisher = await engine.connect(listening)
        try:
            subscriber = await engine.connect(replace(events, heard=lambda samples: None))
        except BaseException:
            await publisher.close()
            raise
        return cls(publisher, subscriber)

    @property
    def state(self) -> PeerState:
        return self.subscriber.state

    async def answer(self, offer: str) -> str:
        return await self.publisher.answer(offer)

    async def offer(self, channels: Sequence[str] = ()) -> str:
        return await self.subscriber.offer(channels)

    async def accept(self, answer: str) -> None:
        await self.subscriber.accept(answer)

    async def add_candidate(self, candidate: Candidate) -> None:
        await self.publisher.add_candidate(candidate)

    async def candidates(self) -> Sequence[Candidate]:
        return await self.publisher.candidates()

    def play(self, response_id: str, samples: Samples) -> None:
        self.subscriber.play(response_id, samples)

    def clear(self, response_id: str) -> None:
        self.subscriber.clear(response_id)

    @property
    def sent(self) -> tuple[str, int] | None:
        return self.subscriber.sent

    @property
    def unsent_ms(self) -> int:
        return self.subscriber.unsent_ms

    @property
    def voice_mid(self) -> str | None:
        return self.subscriber.voice_mid

    async def stats(self) -> PeerStats:
        up, down = await self.publisher.stats(), await self.subscriber.stats()
        return PeerStats(
            bytes_received=up.bytes_received + down.bytes_received,
            packets_received=up.packets_received,
            packets_lost=up.packets_lost,
            round_trip_seconds=down.round_trip_seconds or up.round_trip_seconds,
        )

    async def close(self) -> None:
        await asyncio.gather(self.publisher.close(), self.subscriber.close())
