"""What becomes of a session's audio on its way to the recording."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nur_server.audio.flac import HEADER_BYTES
from nur_server.clock import ManualClock
from nur_server.errors import Unavailable
from nur_server.ports import ListenOptions
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
)
from nur_server.session.recorder import (
    BATCH_SECONDS,
    JITTER_SECONDS,
    MAX_BATCHES,
    RATE,
    STALL_SECONDS,
    Mixer,
    Recorder,
    Recorders,
)
from nur_server.session.setup import SessionSetup
from tests.session.scene import CONFIG

FRAME = 320
"""20 ms."""
SETUP = SessionSetup(
    account_id="acc_1",
    session_id=CONFIG.session_id,
    agent_id=None,
    conversation=CONFIG,
    listen=ListenOptions(),
    voice="tone",
    stt=ScriptedSpeechToText([]),
    llm=ScriptedLanguageModel([]),
    tts=ScriptedTextToSpeech(),
    is_recorded=True,
)


@dataclass
class Shelf:
    """An archive in memory."""

    kept: bytearray = field(default_factory=bytearray)
    room: int = 10**9
    """Bytes it takes before it is full."""
    duration_seconds: float | None = None
    lost_seconds: float = 0.0
    failure: str | None = None

    async def begin(
        self, account_id: str, session_id: str, agent_id: str | None, keep_days: int | None
    ) -> str:
        return "rec_1"

    async def append(self, recording_id: str, data: bytes) -> None:
        if len(self.kept) + len(data) > self.room:
            raise Unavailable("no space is left", code="disk_full")
        self.kept += data

    async def finish(
        self, recording_id: str, header: bytes, duration_seconds: float, lost_seconds: float
    ) -> None:
        self.kept[:HEADER_BYTES] = header
        self.duration_seconds, self.lost_seconds = duration_seconds, lost_seconds

    async def fail(self, recording_id: str, code: str, message: str) -> None:
        self.failure = code


def sound(length: int = FRAME, value: int = 1000) -> np.ndarray:
    return np.full(length, value, np.int16)


class Desk:
    """A recorder, a clock moved by hand, and what the batches come to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(self.clock)

    def caller_speaks(self, seconds: float, value: int = 1000) -> None:
        for _ in range(round(seconds / 0.02)):
            self.clock.advance(0.02)
            self.recorder.heard(sound(value=value))

    async def recorded(self) -> np.ndarray:
        self.recorder.stop()
        mixer, frames = Mixer(), [np.zeros((0, 2), np.int16)]
        while (batch := await self.recorder.next()) is not None:
            for mark in batch.marks:
                mixer.add(mark)
            frames.extend(mixer.take(batch.until))
        return np.concatenate(frames)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_caller_is_left_and_the_agent_right_each_when_it_was_heard(desk: Desk) -> None:
    desk.caller_speaks(1)
    desk.recorder.played("resp_1", sound(8000, 2000), RATE)
    desk.clock.advance(2)
    desk.caller_speaks(1, value=3000)
    audio = await desk.recorded()
    left, right = audio[:, 0], audio[:, 1]
    assert (left[:RATE] == 1000).all()
    assert not left[RATE : 3 * RATE - FRAME].any()
    assert (left[3 * RATE :] == 3000).all()
    assert not right[:RATE].any()
    assert (right[RATE : RATE + 8000] == 2000).all()
    assert not right[RATE + 8000 :].any()


async def test_audio_that_comes_in_bursts_stays_in_one_piece(desk: Desk) -> None:
    wave = (np.sin(np.arange(RATE) * 0.2) * 9000).astype(np.int16)
    for start in range(0, RATE, 1600):
        desk.clock.advance(0.05 if start // 1600 % 2 else 0.15)
        desk.recorder.heard(wave[start : start + 1600])
    audio = await desk.recorded()
    first = int(np.flatnonzero(audio[:, 0])[0]) - 1
    assert np.array_equal(audio[first : first + RATE, 0], wave)


def burst(desk: Desk, seconds: float, value: int = 1000) -> None:
    """As much at once as has been missing."""
    for _ in range(round(seconds / 0.02)):
        desk.recorder.heard(sound(value=value))


@pytest.mark.parametrize("stall", [0.1, 0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("agent_speaks", [True, False])
async def test_a_burst_fills_the_stall_it_was_meant_for(
    desk: Desk, stall: float, agent_speaks: bool
) -> None:
    desk.caller_speaks(2)
    for _ in range(round(stall / 0.02)):
        desk.clock.advance(0.02)
        if agent_speaks:
            desk.recorder.played("resp_1", sound(value=2000), RATE)
    burst(desk, stall, value=1500)
    desk.caller_speaks(1, value=0)
    desk.caller_speaks(1, value=3000)
    audio = await desk.recorded()
    assert abs(len(audio) / RATE - (4 + stall)) <= 0.02
    tone = np.flatnonzero(audio[:, 0] == 3000)
    assert abs(tone[0] / RATE - (3 + stall)) <= 0.02
    late = np.flatnonzero(audio[:, 0] == 1500)
    assert abs(late[0] / RATE - 2) <= 0.02 and abs(len(late) / RATE - stall) <= 0.02


@pytest.mark.parametrize("stall", [6.0, 20.0])
async def test_of_a_long_stall_the_latest_is_kept_and_the_sides_stay_together(
    desk: Desk, stall: float
) -> None:
    desk.caller_speaks(2)
    for _ in range(round(stall / 0.02)):
        desk.clock.advance(0.02)
        desk.recorder.played("resp_1", sound(value=2000), RATE)
    burst(desk, stall, value=1500)
    desk.caller_speaks(1, value=3000)
    audio = await desk.recorded()
    assert abs(len(audio) / RATE - (3 + stall)) <= 0.02
    late = np.flatnonzero(audio[:, 0] == 1500)
    assert late[-1] / RATE <= 2 + stall + 0.02
    assert STALL_SECONDS - 0.02 <= len(late) / RATE <= STALL_SECONDS + BATCH_SECONDS
    tone = np.flatnonzero(audio[:, 0] == 3000)
    assert abs(tone[0] / RATE - (2 + stall)) <= 0.02


@pytest.mark.parametrize("ahead", [0.3, 2.0, 10.0])
async def test_the_caller_never_runs_ahead_of_the_clock(desk: Desk, ahead: float) -> None:
    desk.caller_speaks(1)
    burst(desk, ahead, value=1500)
    desk.clock.advance(0.5)
    desk.caller_speaks(1, value=3000)
    audio = await desk.recorded()
    assert abs(len(audio) / RATE - 2.5) <= 0.02
    assert np.count_nonzero(audio[:, 0] == 1500) <= (JITTER_SECONDS + 0.02) * RATE
    assert abs(np.flatnonzero(audio[:, 0] == 3000)[0] / RATE - 1.5) <= 0.02


async def test_two_stalls_and_their_bursts_each_keep_their_place(desk: Desk) -> None:
    for value in (1000, 2000):
        desk.caller_speaks(1, value=value)
        desk.clock.advance(1.5)
        burst(desk, 1.5, value=value + 1)
    desk.caller_speaks(1, value=3000)
    left = (await desk.recorded())[:, 0]
    begins = [np.flatnonzero(left == value)[0] / RATE for value in (1000, 1001, 2000, 2001, 3000)]
    assert begins == pytest.approx([0, 1, 2.5, 3.5, 5], abs=0.02)


async def test_a_caller_who_sends_nothing_holds_the_recording_up_for_a_while_only(
    desk: Desk,
) -> None:
    for _ in range(1000):
        desk.clock.advance(0.02)
        desk.recorder.played("resp_1", sound(value=2000), RATE)
    batch = await desk.recorder.next()
    assert batch is not None
    handed = batch.until
    while desk.recorder.waiting:
        batch = await desk.recorder.next()
        assert batch is not None
        handed = batch.until
    assert handed / RATE >= 20 - STALL_SECONDS - 1.6


async def test_agent_audio_sent_ahead_follows_on_without_seams(desk: Desk) -> None:
    wave = (np.sin(np.arange(24_000) * 0.1) * 9000).astype(np.int16)
    for start in range(0, 24_000, 480):
        if start >= 3 * 480:
            desk.clock.advance(0.02)
        desk.recorder.played("resp_1", wave[start : start + 480], 24_000)
    desk.clock.advance(0.1)
    right = (await desk.recorded())[:, 1].astype(float)
    expected = np.sin(np.arange(RATE) * 0.15) * 9000
    inner = slice(800, RATE - 800)
    assert np.abs(right[inner] - expected[inner]).max() < 300


async def test_what_an_interruption_cut_off_is_not_recorded(desk: Desk) -> None:
    desk.clock.advance(1)
    desk.recorder.played("resp_1", sound(RATE, 2000), RATE)
    desk.clock.advance(0.5)
    desk.recorder.cut()
    desk.clock.advance(1)
    desk.recorder.played("resp_2", sound(1600, 4000), RATE)
    desk.clock.advance(1)
    right = (await desk.recorded())[:, 1]
    assert (right[RATE : RATE * 3 // 2] == 2000).all()
    assert not right[RATE * 3 // 2 : RATE * 5 // 2].any()
    assert (right[RATE * 5 // 2 : RATE * 5 // 2 + 1600] == 4000).all()


async def test_a_pile_of_work_costs_sound_and_keeps_the_time(desk: Desk) -> None:
    desk.caller_speaks(MAX_BATCHES + 10.0)
    audio = await desk.recorded()
    assert desk.recorder.lost_samples > 5 * RATE
    assert (audio[: MAX_BATCHES * RATE // 2, 0] == 1000).all()


async def test_an_idle_hour_is_silence_taken_in_bounded_stretches() -> None:
    mixer = Mixer()
    stretches = [len(frames) for frames in mixer.take(3600 * RATE)]
    assert sum(stretches) == 3600 * RATE
    assert max(stretches) <= 10 * RATE


async def test_a_recording_is_whole_once_its_session_is_over(tmp_path: Path) -> None:
    shelf, clock = Shelf(), ManualClock()
    recorders = Recorders(shelf, clock)
    recorder = recorders.open(SETUP)
    for _ in range(150):
        clock.advance(0.02)
        recorder.heard(sound())
    recorder.stop()
    await recorders.settled()
    assert shelf.duration_seconds == 3
    path = tmp_path / "call.flac"
    path.write_bytes(shelf.kept)
    audio, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    assert (audio[:, 0] == 1000).all() and not audio[:, 1].any()
    await recorders.close()


async def test_a_full_disk_ends_the_recording_and_says_so() -> None:
    shelf, clock = Shelf(room=10), ManualClock()
    recorders = Recorders(shelf, clock)
    recorder = recorders.open(SETUP)
    for _ in range(200):
        clock.advance(0.02)
        recorder.heard(sound())
        await asyncio.sleep(0)
    await recorders.settled()
    assert shelf.failure == "disk_full"
    assert recorders.failed == 1
    recorder.heard(sound())
    recorder.played("resp_1", sound(), RATE)
    recorder.cut()
    recorder.stop()
    assert await recorder.next() is None
    await recorders.close()


class Away(Shelf):
    """An archive whose records cannot be written so many times."""

    def __init__(self, step: str, times: int, room: int = 10**9) -> None:
        super().__init__(room=room)
        self._step, self._left = step, times
        self.tries = 0

    def _try(self, step: str) -> None:
        if step == self._step:
            self.tries += 1
            if self.tries <= self._left:
                raise Unavailable("the database cannot be used", code="database_unavailable")

    async def begin(self, *about: Any) -> str:
        self._try("begin")
        return await super().begin(*about)

    async def finish(self, *about: Any) -> None:
        self._try("finish")
        await super().finish(*about)

    async def fail(self, *about: Any) -> None:
        self._try("fail")
        await super().fail(*about)


@pytest.mark.parametrize(
    ("step", "room"), [("begin", 10**9), ("finish", 10**9), ("fail", 10), ("begin", 10)]
)
async def test_a_recording_is_closed_once_its_records_can_be_written_again(
    step: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.session.recorder.RETRY_SECONDS", 0.001)
    shelf, clock = Away(step, 5, room), ManualClock()
    recorders = Recorders(shelf, clock)
    recorder = recorders.open(SETUP)
    for _ in range(200):
        clock.advance(0.02)
        recorder.heard(sound())
        await asyncio.sleep(0)
    recorder.stop()
    await recorders.settled()
    assert shelf.tries == 6
    if room == 10:
        assert shelf.failure == "disk_full"
    else:
        assert (shelf.failure, shelf.duration_seconds) == (None, 4.0)
    await recorders.close()


async def test_encoding_leaves_the_event_loop_alone() -> None:
    """The loop turns while a batch far longer than any real one is encoded."""
    shelf, clock = Shelf(), ManualClock()
    recorders = Recorders(shelf, clock)
    recorder = recorders.open(SETUP)
    noise = np.random.default_rng(1).integers(-9000, 9000, RATE * 120).astype(np.int16)
    clock.advance(120)
    recorder.heard(noise)
    recorder.stop()
    turns = 0
    settled = asyncio.ensure_future(recorders.settled())
    while not settled.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 3
    assert shelf.duration_seconds == 120
    await recorders.close()
