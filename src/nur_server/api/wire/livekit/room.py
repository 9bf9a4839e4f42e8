"""The room that a client of LiveKit sees: itself, and the agent."""

import secrets
from collections.abc import Mapping

from livekit.protocol import models, rtc

from nur_server.transports.webrtc.media import IceServer

VERSION, PROTOCOL = "1.9.1", 16
"""Of the server protocol that is spoken here, as clients compare them."""
PING_SECONDS, PING_TIMEOUT_SECONDS = 5, 15
AGENT = "agent"
"""The agent's identity and name."""
STATE = "lk.agent.state"
"""The attribute that interfaces show the agent's state by."""
MOST_TRACKS = 16
MOST_ATTRIBUTES, MOST_ATTRIBUTE_BYTES = 64, 4_096


def sid(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(6)}"


class Room:
    """For one connection of one client."""

    def __init__(self, session_id: str, identity: str, name: str, now: float) -> None:
        opus = models.Codec(mime="audio/opus")
        joined = int(now)
        self.room = models.Room(
            sid=sid("RM"),
            name=session_id,
            num_participants=2,
            creation_time=joined,
            enabled_codecs=[opus],
        )
        may = models.ParticipantPermission(
            can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
        )
        self.user = models.ParticipantInfo(
            sid=sid("PA"),
            identity=identity,
            name=name,
            state=models.ParticipantInfo.ACTIVE,
            joined_at=joined,
            permission=may,
        )
        self.voice = models.TrackInfo(
            sid=sid("TR"),
            type=models.AUDIO,
            name="agent",
            source=models.MICROPHONE,
            mime_type="audio/opus",
        )
        self.agent = models.ParticipantInfo(
            sid=sid("PA"),
            identity=AGENT,
            name=AGENT,
            state=models.ParticipantInfo.ACTIVE,
            joined_at=joined,
            is_publisher=True,
            kind=models.ParticipantInfo.AGENT,
            tracks=[self.voice],
            attributes={STATE: "initializing"},
            permission=may,
        )

    @property
    def stream_id(self) -> str:
        """How clients know whose track it is."""
        return f"{self.agent.sid}|{self.voice.sid}"

    @property
    def microphone_sid(self) -> str:
        """Of the user's audio; empty where there is none."""
        return next((t.sid for t in self.user.tracks if t.type == models.AUDIO), "")

    def join(self, ice_servers: tuple[IceServer, ...], *, is_single: bool) -> rtc.JoinResponse:
        """`is_single`: one peer connection carries both directions."""
        return rtc.JoinResponse(
            room=self.room,
            participant=self.user,
            other_participants=[self.agent],
            server_version=VERSION,
            server_info=models.ServerInfo(
                edition=models.ServerInfo.Standard, version=VERSION, protocol=PROTOCOL
            ),
            ice_servers=[
                rtc.ICEServer(
                    urls=server.urls, username=server.username, credential=server.credential
                )
                for server in ice_servers
            ],
            subscriber_primary=not is_single,
            ping_timeout=PING_TIMEOUT_SECONDS,
            ping_interval=PING_SECONDS,
            client_configuration=models.ClientConfiguration(
                resume_connection=models.ClientConfigSetting.DISABLED
            ),
            enabled_publish_codecs=[models.Codec(mime="audio/opus")],
        )

    def publish(self, asked: rtc.AddTrackRequest) -> models.TrackInfo | None:
        """A track that the client is about to send. None: it has too many."""
        if len(self.user.tracks) >= MOST_TRACKS:
            return None
        track = models.TrackInfo(
            sid=sid("TR"),
            type=asked.type,
            name=asked.name,
            source=asked.source,
            muted=asked.muted,
            mime_type="audio/opus" if asked.type == models.AUDIO else "video/vp8",
            disable_dtx=asked.disable_dtx,
            stereo=asked.stereo,
            disable_red=True,
        )
        self.user.tracks.append(track)
        self.user.is_publisher = True
        return track

    def mute(self, track_sid: str, *, is_muted: bool) -> None:
        for track in self.user.tracks:
            if track.sid == track_sid:
                track.muted = is_muted

    def update_user(self, name: str, metadata: str, attributes: Mapping[str, str]) -> bool:
        """False for more than is kept."""
        size = sum(len(key) + len(value) for key, value in attributes.items())
        if max(size, len(metadata), len(name)) > MOST_ATTRIBUTE_BYTES:
            return False
        merged = {**self.user.attributes, **attributes}
        if len(merged) > MOST_ATTRIBUTES:
            return False
        for key, value in attributes.items():
            self.user.attributes[key] = value
        self.user.name = name or self.user.name
        self.user.metadata = metadata or self.user.metadata
        self.user.version += 1
        return True

    def set_state(self, state: str) -> bool:
        """Whether the agent's state is another one now."""
        if self.agent.attributes[STATE] == state:
            return False
        self.agent.attributes[STATE] = state
        self.agent.version += 1
        return True
