"""Sessions recorded over a real socket, and what clients get of them."""

import asyncio
import io
import shutil
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import numpy as np
import pytest
import soundfile

from nur_server.audio.encode import RecordingFormat
from nur_server.clock import SystemClock
from nur_server.store.recordings import delete_expired_recordings
from tests.api_realtime.conftest import RATE, Serve, Server, eventually, id_of
from tests.store.s3 import S3, URL, s3, s3_server

__all__ = ["s3", "s3_server"]

CALLER_HZ, AGENT_HZ = 700, 300
"""The agent's is what the scripted voice of these tests sounds like."""
GREETING = "Good morning, how can I help you today?"
GREETING_SECONDS = len(GREETING) * 0.015


async def hold_session(server: Server, **agent: Any) -> str:
    """The agent greets; a second later the caller sounds for a second. Returns the session's id."""
    agent_id = await server.make_agent(first_message=GREETING, **agent)
    path = await server.make_session(agent_id)
    async with server.connect(f"{path}?audio=binary&sample_rate={RATE}") as client:
        await client.until("session.ready")
        began = asyncio.get_running_loop().time()
        wave = np.sin(np.arange(RATE) * 2 * np.pi * CALLER_HZ / RATE) * 12_000
        sound = np.concatenate([np.zeros(RATE), wave, np.zeros(RATE // 2)]).astype(np.int16)
        for start in range(0, len(sound), RATE // 50):
            await client.connection.send(sound[start : start + RATE // 50].tobytes())
            due = began + (start + RATE // 50) / RATE
            await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
        await client.send("session.end")
        await client.closed()
    return id_of(path)


async def ready(server: Server, session_id: str, **query: str) -> dict[str, Any]:
    """The recording, once it is stored."""
    path = f"/v1/sessions/{session_id}/recording"
    for _ in range(500):
        answer = await server.http.get(path, params=query)
        if answer.status_code == 200 and answer.json()["status"] != "recording":
            found: dict[str, Any] = answer.json()
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("the recording was not stored in time")


async def fetch(url: str, **headers: str) -> httpx2.Response:
    """Without a key."""
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        return await stranger.get(url, headers=headers)


def sounding(channel: np.ndarray, rate: int, hertz: int) -> np.ndarray:
    """Numbers of the stretches of 20 ms in which a tone is heard."""
    size = rate // 50
    frames = channel[: len(channel) // size * size].reshape(-1, size)
    wave = np.exp(-2j * np.pi * hertz * np.arange(size) / rate)
    level = np.abs(frames @ wave) / size
    return np.flatnonzero(level > level.max() / 2)


async def test_both_sides_are_recorded_whole_each_on_its_channel(serve: Serve) -> None:
    """When each of them stands there, `tests/session/test_recorder.py` asks by its own clock."""
    async with serve() as server:
        session_id = await hold_session(server, recording=True)
        recording = await ready(server, session_id)
        assert recording["status"] == "ready" and recording["error_code"] is None
        answer = await fetch(recording["url"])
        assert answer.headers["content-type"] == "audio/flac"
        audio, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
        assert recording["duration_seconds"] == round(len(audio) / rate, 3)
        assert recording["size_bytes"] == len(answer.content)
        said = sounding(audio[:, 0], rate, CALLER_HZ)
        greeted = sounding(audio[:, 1], rate, AGENT_HZ)
        assert abs(len(said) - 50) <= 3, "a second of the caller's tone"
        assert abs(len(greeted) * 0.02 - GREETING_SECONDS) <= 0.1
        for side, own, other in ((0, CALLER_HZ, AGENT_HZ), (1, AGENT_HZ, CALLER_HZ)):
            leaked = _loudness(audio[:, side], rate, other)
            assert leaked < 0.05 * _loudness(audio[:, side], rate, own)


def _loudness(channel: np.ndarray, rate: int, hertz: int) -> float:
    """Energy of a tone in all of it."""
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(channel)) / rate)
    return float(np.abs(np.sum(channel * wave)))


async def test_nothing_is_recorded_unless_it_is_asked_for(serve: Serve) -> None:
    async with serve() as server:
        session_id = await hold_session(server)
        answer = await server.http.get(f"/v1/sessions/{session_id}/recording")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "recording_not_found"


async def test_a_session_decides_against_its_agent(serve: Serve) -> None:
    async with serve() as server:
        agent_id = await server.make_agent(recording=True)
        path = await server.make_session(agent_id, recording=False)
        async with server.connect(path) as client:
            await client.until("session.ready")
            await client.send("session.end")
            await client.closed()
        answer = await server.http.get(f"{path}/recording")
        assert answer.status_code == 404


async def test_the_user_is_told_of_the_recording_first(serve: Serve) -> None:
    async with serve() as server:
        agent_id = await server.make_agent(
            first_message="Hello.", recording=True, recording_consent="This call is recorded."
        )
        for records, expected in (
            (None, "This call is recorded. Hello."),
            (False, "Hello."),
        ):
            path = await server.make_session(agent_id, recording=records)
            async with server.connect(path) as client:
                said = await client.until("transcript.agent")
                assert said["text"] == expected
                await client.send("session.end")
                await client.closed()


async def test_formats_ranges_and_links(serve: Serve) -> None:
    async with serve() as server:
        session_id = await hold_session(server, recording=True)
        recording = await ready(server, session_id, format="opus")
        made = await fetch(recording["url"])
        info = soundfile.info(io.BytesIO(made.content))
        assert (info.format, info.subtype, info.channels) == ("OGG", "OPUS", 2)
        assert made.content == (await fetch(recording["url"])).content
        wav = await server.get(f"/v1/recordings/{recording['id']}?format=wav")
        part = await fetch(wav["url"], Range="bytes=0-3")
        assert (part.status_code, part.content) == (206, b"RIFF")
        same = await server.get(f"/voice/recording/{recording['id']}")
        assert same["recording_id"] == recording["id"]
        url = urlsplit(wav["url"])
        forged = url._replace(query=url.query.replace("format=wav", "format=flac")).geturl()
        refused = await fetch(forged)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "invalid_link")
        early = {name: values[0] for name, values in parse_qs(url.query).items()} | {"expires": "1"}
        async with httpx2.AsyncClient(trust_env=False) as stranger:
            refused = await stranger.get(url._replace(query="").geturl(), params=early)
        assert refused.status_code == 403


async def test_a_recording_in_a_bucket_is_heard_from_there(serve: Serve, s3: S3) -> None:
    clock = LateClock()
    async with serve(clock=clock, blobs_url=URL) as server:
        session_id = await hold_session(server, recording=True, recording_retention_days=7)
        recording = await ready(server, session_id)
        assert recording["url"].startswith(f"{s3.address}/calls/nur/recordings/")
        assert recording["size_bytes"] == len((await fetch(recording["url"])).content)
        for kind in RecordingFormat:
            shown = await server.get(f"/voice/recording/{recording['id']}?format={kind}")
            audio = await fetch(shown["url"])
            if kind is not RecordingFormat.FLAC:
                assert (audio.status_code, audio.has_redirect_location) == (307, True)
                audio = await fetch(audio.headers["location"])
            assert audio.headers["content-type"] == kind.media_type
            info = soundfile.info(io.BytesIO(audio.content))
            assert (info.samplerate, info.channels) == (16_000, 2)
            assert info.duration == pytest.approx(recording["duration_seconds"], abs=0.03)
        names = sorted(key.rpartition("/")[2] for key in s3.stored())
        assert names == [f"{recording['id']}.{suffix}" for suffix in ("flac", "ogg", "wav")]
        clock.late_days = 8
        services = server.services
        assert await delete_expired_recordings(services.database, services.blobs) == 1
        assert s3.stored() == []


class LateClock(SystemClock):
    """The machine's, and days later when a test says so."""

    def __init__(self) -> None:
        self.late_days = 0

    def now(self) -> datetime:
        return super().now() + timedelta(days=self.late_days)


async def test_a_link_ends_and_so_does_the_time_a_recording_is_kept(serve: Serve) -> None:
    clock = LateClock()
    async with serve(clock=clock) as server:
        session_id = await hold_session(server, recording=True, recording_retention_days=7)
        recording = await ready(server, session_id)
        clock.late_days = 1
        refused = await fetch(recording["url"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "link_expired")
        services = server.services
        assert await delete_expired_recordings(services.database, services.blobs) == 0
        clock.late_days = 8
        assert await delete_expired_recordings(services.database, services.blobs) == 1
        gone = await server.get(f"/v1/recordings/{recording['id']}")
        assert (gone["status"], gone["url"]) == ("deleted", None)
        folder = services.settings.data_dir / "recordings"
        assert not [path for path in folder.rglob("*") if path.is_file()]


async def test_a_deleted_recording_leaves_its_record(serve: Serve) -> None:
    async with serve() as server:
        session_id = await hold_session(server, recording=True)
        recording = await ready(server, session_id)
        path = f"/v1/recordings/{recording['id']}"
        for _ in range(2):
            answer = await server.http.delete(path)
            assert answer.json()["status"] == "deleted"
        assert (await fetch(recording["url"])).status_code == 404


async def test_the_call_goes_on_where_the_folder_cannot_be_written(serve: Serve) -> None:
    async with serve() as server:
        shutil.rmtree(server.services.settings.data_dir / "recordings", ignore_errors=True)
        (server.services.settings.data_dir / "recordings").write_text("in the way")
        session_id = await hold_session(server, recording=True)
        recording = await ready(server, session_id)
        assert (recording["status"], recording["error_code"]) == ("failed", "blobs_unavailable")
        assert recording["url"] is None
        session = await server.get(f"/v1/sessions/{session_id}")
        assert session["ended_reason"] == "client_ended"
        assert session["duration_seconds"] > 2
        await eventually(lambda: len(server.services.live) == 0)
