"""Conversations with the Python client of LiveKit, as it is published."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from nur_server.providers.scripted import Call
from nur_server.transports.webrtc.connection import MediaConnection
from tests.api_realtime.conftest import Serve, Server, eventually
from tests.webrtc.test_plain import LOOKUP, recorded

rtc = pytest.importorskip("livekit.rtc", reason="needs livekit: pip install livekit")

RATE = 48_000
PATIENCE_SECONDS = 20.0


class Guest:
    """A participant with a microphone, and what it is told."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.said: list[tuple[str, str, bool]] = []
        """Who, what, and whether it is final, as text streams have it."""
        self.legacy: list[tuple[str, str, bool]] = []
        self.states: list[str] = []
        self.loudest = 0
        self.calls: list[tuple[str, Any]] = []
        self.reasons: list[Any] = []
        self.source = rtc.AudioSource(RATE, 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.room.on("participant_attributes_changed", self._attributes)
        self.room.on("track_subscribed", self._track)
        self.room.on("disconnected", self.reasons.append)
        self.room.on("transcription_received", self._transcription)
        self.room.register_text_stream_handler("lk.transcription", self._stream)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _attributes(self, changed: dict[str, str], participant: Any) -> None:
        if "lk.agent.state" in changed:
            self.states.append(changed["lk.agent.state"])

    def _transcription(self, segments: Any, participant: Any, publication: Any) -> None:
        who = participant.identity if participant else ""
        self.legacy += [(who, segment.text, segment.final) for segment in segments]

    def _track(self, track: Any, publication: Any, participant: Any) -> None:
        self._spawn(self._listen(rtc.AudioStream(track)))

    async def _listen(self, stream: Any) -> None:
        async for event in stream:
            samples = np.frombuffer(event.frame.data, np.int16)
            self.loudest = max(self.loudest, int(np.abs(samples.astype(np.int32)).max()))

    def _stream(self, reader: Any, identity: str) -> None:
        self._spawn(self._read(reader, identity))

    async def _read(self, reader: Any, identity: str) -> None:
        text = await reader.read_all()
        final = reader.info.attributes.get("lk.transcription_final") == "true"
        self.said.append((identity, text, final))

    async def join(self, started: dict[str, Any]) -> None:
        await self.room.connect(started["livekit_url"], started["token"])
        participant = self.room.local_participant

        async def look_up(data: Any) -> str:
            self.calls.append((data.method, json.loads(data.payload)))
            return json.dumps({"status": "shipped"})

        participant.register_rpc_method("lookup_order", look_up)
        track = rtc.LocalAudioTrack.create_audio_track("mic", self.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await participant.publish_track(track, options)

    async def speak(self, seconds: float) -> None:
        samples = (np.sin(np.arange(int(RATE * seconds)) / 16) * 12_000).astype(np.int16)
        await self._push(samples)
        await self._push(np.zeros(RATE, np.int16))

    async def _push(self, samples: np.ndarray) -> None:
        for start in range(0, len(samples), RATE // 100):
            piece = samples[start : start + RATE // 100]
            frame = rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece))
            await self.source.capture_frame(frame)

    async def hears(self, text: str) -> None:
        await eventually(lambda: any(text in said for _, said, _ in self.said + self.legacy))

    async def leave(self) -> None:
        await self.room.disconnect()
        for task in tuple(self._tasks):
            task.cancel()


async def start(server: Server, **fields: Any) -> dict[str, Any]:
    agent = await server.make_agent(**fields)
    return await server.post("/voice/start", agent_id=agent, recording=True)


async def test_a_whole_conversation(serve: Serve) -> None:
    story = " ".join(["Once upon a time there was a very long story."] * 20)
    replies = [
        [Call("lookup_order", {"order_id": "1234"})], "It has shipped.", "You typed it.", story,
        "All right.",
    ]  # fmt: skip
    async with serve(replies=replies) as server:
        started = await start(server, first_message="Hi there!", tools=[LOOKUP])
        assert started["room_name"] == started["session_id"]
        guest = Guest()
        await guest.join(started)
        await guest.hears("Hi there!")
        agent = guest.room.remote_participants["agent"]
        assert agent.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        await eventually(lambda: guest.loudest > 1_000)

        await guest.speak(0.6)
        await guest.hears("It has shipped.")
        assert guest.calls == [("lookup_order", {"order_id": "1234"})]
        await eventually(lambda: ("agent", "It has shipped.", True) in guest.legacy)
        assert ("user", "Where is my order?", True) in guest.said
        assert ("user", "Where is my order?", True) in guest.legacy
        assert {"listening", "thinking", "speaking"} <= set(guest.states)

        await guest.room.local_participant.send_text("Typed.", topic="lk.chat")
        await guest.hears("You typed it.")
        asked = server.llm.requests[-1].messages[-1].content
        assert "Typed." in asked

        before = len(guest.legacy)
        await guest.speak(0.6)
        await eventually(lambda: any("Once" in said for _, said, _ in guest.legacy[before:]))
        await guest.speak(1.5)
        await guest.hears("All right.")
        cut = [said for who, said, final in guest.legacy if final and said.startswith("Once")]
        assert cut and len(cut[-1]) < len(story)

        await server.post(f"/v1/voice/session/{started['session_id']}/end")
        await eventually(lambda: bool(guest.reasons))
        await guest.leave()
        await eventually(lambda: len(server.services.media) == 0)
        session = await server.get(f"/v1/sessions/{started['session_id']}")
        assert (session["kind"], session["ended_reason"]) == ("webrtc", "client_ended")
        await recorded(server, started["session_id"])


async def test_a_lost_socket_brings_the_client_back_to_the_same_conversation(serve: Serve) -> None:
    async with serve(replies=["First.", "Second."]) as server:
        started = await start(server, first_message="Hi there!")
        guest = Guest()
        back: list[bool] = []
        guest.room.on("reconnected", lambda: back.append(True))
        await guest.join(started)
        await guest.hears("Hi there!")
        await guest.speak(0.6)
        await guest.hears("First.")
        for connection in tuple(server.services.media.connections):
            assert isinstance(connection, MediaConnection)
            connection.lose()
        await eventually(lambda: bool(back))
        await guest.speak(0.6)
        await guest.hears("Second.")
        await server.post(f"/voice/end/{started['session_id']}")
        await guest.leave()
        await eventually(lambda: len(server.services.media) == 0)
        turns = await server.get(f"/v1/sessions/{started['session_id']}/transcript")
        said = [turn["text"] for turn in turns["turns"] if turn["speaker"] == "agent"]
        assert said == ["Hi there!", "First.", "Second."]
