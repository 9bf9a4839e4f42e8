"""One client's signalling: what it asks for, and what it is told of its room."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import structlog
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from nur_server.api.wire.livekit.room import Room
from nur_server.clock import Clock
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest, NurError
from nur_server.transports.webrtc.media import Candidate, MediaPeer
from nur_server.transports.webrtc.sdp import check_offer, with_candidates, with_stream
from nur_server.transports.webrtc.split import SplitPeer

log = structlog.get_logger(__name__)

MOST_UNSENT = 256
"""Answers that a client has not read; then its signalling is dropped."""
WRITE_SECONDS = 10.0
MOST_CANDIDATES = 200
"""That a client trickles on one connection; browsers find some dozen. More are ignored."""
MOST_OFFERS = 100
"""Of one connection: each track that comes or goes is one."""
_END = models.DisconnectReason
_REASONS = {
    EndedReason.SERVER_SHUTDOWN: _END.SERVER_SHUTDOWN,
    EndedReason.INTERNAL_ERROR: _END.AGENT_ERROR,
    EndedReason.CLIENT_DISCONNECTED: _END.CONNECTION_TIMEOUT,
}

Send = Callable[[bytes], Awaitable[None]]


class Signalling:
    """Implements `transports.webrtc.connection.Messages`. `write` must be running."""

    def __init__(self, room: Room, clock: Clock, *, is_single: bool) -> None:
        self.room = room
        self.has_left = False
        """The client has said that it leaves."""
        self.is_closing = asyncio.Event()
        self._is_single = is_single
        self._clock = clock
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_UNSENT)
        self._peer: MediaPeer | None = None
        self._candidates = 0
        self._offers = 0

    def use(self, peer: MediaPeer) -> None:
        self._peer = peer

    # To the client

    def send(self, response: rtc.SignalResponse) -> None:
        """Queue it. A client that does not read is dropped."""
        try:
            self._outbox.put_nowait(response.SerializeToString())
        except asyncio.QueueFull:
            log.info("signalling.dropped", unread=MOST_UNSENT)
            self.is_closing.set()

    def agent_changed(self) -> None:
        """The agent's attributes are others now."""
        self.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[self.room.agent])))

    def ended(self, reason: EndedReason) -> None:
        self.leave(_REASONS.get(reason, _END.ROOM_DELETED))

    def replaced(self) -> None:
        self.leave(_END.DUPLICATE_IDENTITY)

    def media_ended(self, was_connected: bool) -> None:
        """The peer connection is closed. A client that did not leave is told to connect anew, or,
        where its media never came, why it is sent away."""
        if self.is_closing.is_set():
            return
        if was_connected:
            self.leave(_END.CONNECTION_TIMEOUT, rtc.LeaveRequest.RECONNECT)
        else:
            self.leave(_END.JOIN_FAILURE)

    def leave(
        self,
        reason: models.DisconnectReason,
        action: rtc.LeaveRequest.Action = rtc.LeaveRequest.DISCONNECT,
    ) -> None:
        """Tell the client to go; not to come back, unless `action` says so."""
        leaving = rtc.LeaveRequest(reason=reason, action=action)
        self.send(rtc.SignalResponse(leave=leaving))
        self.is_closing.set()

    async def write(self, send: Send) -> None:
        """Until the room is left. Raises `OSError` once the client is gone."""
        closing = asyncio.create_task(self.is_closing.wait())
        try:
            while not (self.is_closing.is_set() and self._outbox.empty()):
                taking = asyncio.create_task(self._outbox.get())
                await asyncio.wait({taking, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    continue
                message = taking.result()
                if message is not None:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await send(message)
        finally:
            closing.cancel()

    # From the client

    @staticmethod
    def decode(frame: str | bytes) -> rtc.SignalRequest:
        """Raises `BadRequest`."""
        request = rtc.SignalRequest()
        try:
            if isinstance(frame, str):
                json_format.Parse(frame, request, ignore_unknown_fields=True)
            else:
                request.ParseFromString(frame)
        except (DecodeError, json_format.ParseError, RecursionError):
            raise BadRequest("expected a SignalRequest of LiveKit's protocol") from None
        return request

    async def handle(self, request: rtc.SignalRequest) -> None:
        """Do what is asked. Raises `NurError`."""
        match request.WhichOneof("message"):
            case "offer":
                await self.take_offer(request.offer)
            case "answer":
                await self._take_answer(request.answer)
            case "trickle":
                await self._take_candidate(request.trickle)
            case "add_track":
                self.add_track(request.add_track)
            case "mute":
                self.room.mute(request.mute.sid, is_muted=request.mute.muted)
            case "ping":
                self.send(rtc.SignalResponse(pong=self._now_ms()))
            case "ping_req":
                pong = rtc.Pong(
                    last_ping_timestamp=request.ping_req.timestamp, timestamp=self._now_ms()
                )
                self.send(rtc.SignalResponse(pong_resp=pong))
            case "update_metadata":
                self._update(request.update_metadata)
            case "leave":
                self.has_left = True
                self.is_closing.set()
            case _:
                pass  # Video layers, subscriptions, data tracks: there is nothing to do for them.

    async def take_offer(self, offer: rtc.SessionDescription) -> None:
        """Answer an offer of the client's."""
        peer = self._peer
        self._offers += 1
        if peer is None or self._offers > MOST_OFFERS:
            raise BadRequest(f"expected at most {MOST_OFFERS} offers on one connection, got more")
        check_offer(offer.sdp, needs_audio=False)
        answer = await peer.answer(offer.sdp)
        answer = with_candidates(answer, await peer.candidates())
        tracks = {}
        if self._is_single and peer.voice_mid is not None:
            voice, mid = self.room.voice, peer.voice_mid
            answer = with_stream(answer, mid, self.room.stream_id, voice.sid)
            tracks[mid] = voice.sid
        described = rtc.SessionDescription(
            type="answer", sdp=answer, id=offer.id, mid_to_track_id=tracks
        )
        self.send(rtc.SignalResponse(answer=described))

    async def offer_voice(self) -> None:
        """Offer the agent's audio, and the channels for data, on the second connection."""
        assert isinstance(self._peer, SplitPeer)
        subscriber = self._peer.subscriber
        offer = await subscriber.offer(("_reliable", "_lossy"))
        offer = with_candidates(offer, await subscriber.candidates())
        mid = subscriber.voice_mid or "0"
        offer = with_stream(offer, mid, self.room.stream_id, self.room.voice.sid)
        described = rtc.SessionDescription(type="offer", sdp=offer, id=1)
        self.send(rtc.SignalResponse(offer=described))

    async def _take_answer(self, answer: rtc.SessionDescription) -> None:
        if isinstance(self._peer, SplitPeer):
            check_offer(answer.sdp, needs_audio=False)
            await self._peer.accept(answer.sdp)

    async def _take_candidate(self, trickle: rtc.TrickleRequest) -> None:
        self._candidates += 1
        if self._candidates > MOST_CANDIDATES:
            if self._candidates == MOST_CANDIDATES + 1:
                log.info("signalling.candidates_ignored", most=MOST_CANDIDATES)
            return
        try:
            said = json.loads(trickle.candidateInit)
            candidate = Candidate(
                str(said.get("candidate") or ""), said.get("sdpMid"), said.get("sdpMLineIndex")
            )
        except (ValueError, AttributeError, RecursionError):
            raise BadRequest("expected a candidate as JSON, got something else") from None
        peer = self._peer
        if isinstance(peer, SplitPeer) and trickle.target == rtc.SUBSCRIBER:
            peer = peer.subscriber
        if peer is not None and candidate.candidate:
            await peer.add_candidate(candidate)

    def add_track(self, asked: rtc.AddTrackRequest) -> None:
        """The client is about to send a track."""
        track = self.room.publish(asked)
        if track is None:
            raise BadRequest("expected fewer tracks, got more; the agent listens to one")
        published = rtc.TrackPublishedResponse(cid=asked.cid, track=track)
        self.send(rtc.SignalResponse(track_published=published))

    def subscribed(self) -> None:
        """The agent hears the client's audio: its clients wait for it."""
        for track in self.room.user.tracks:
            told = rtc.TrackSubscribed(track_sid=track.sid)
            self.send(rtc.SignalResponse(track_subscribed=told))

    def _update(self, asked: rtc.UpdateParticipantMetadata) -> None:
        is_kept = self.room.update_user(asked.name, asked.metadata, asked.attributes)
        if is_kept:
            update = rtc.ParticipantUpdate(participants=[self.room.user])
            self.send(rtc.SignalResponse(update=update))
        reasons = rtc.RequestResponse
        response = rtc.RequestResponse(
            request_id=asked.request_id,
            reason=reasons.OK if is_kept else reasons.LIMIT_EXCEEDED,
            message="" if is_kept else "expected smaller attributes or fewer, got more",
        )
        self.send(rtc.SignalResponse(request_response=response))

    def refuse(self, error: NurError) -> None:
        """Log what the client asked for in vain; the protocol has no answer for most of it."""
        log.info("signalling.refused", code=error.code, message=error.message)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
