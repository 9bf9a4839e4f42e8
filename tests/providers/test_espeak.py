"""espeak-ng in its child process, beyond the contract of its port."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from contracts import Speaker, samples_of

from nur_server.errors import ProviderRejected, ProviderTimeout, ProviderUnreachable
from nur_server.providers import espeak
from nur_server.providers.espeak import Espeak, VoiceSettings

LONG = "This is a long sentence that goes on and on. " * 60


@pytest.fixture
async def engine() -> AsyncIterator[Espeak]:
    engine = Espeak()
    yield engine
    await engine.close()


def loaded_files() -> str:
    """The memory map of this process."""
    return Path("/proc/self/maps").read_text()


def children() -> set[int]:
    """Process ids of the workers of this process."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"espeak_worker" in command:
            found.add(int(stat.parent.name))
    return found


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds the child process in /proc"
)


async def test_the_library_is_never_loaded_into_this_process(engine: Espeak) -> None:
    await Speaker(engine, "en-us").say("Hello.")
    assert "espeakng_loader" not in sys.modules
    assert "espeak-ng" not in loaded_files()


async def test_the_child_starts_with_the_first_clause_and_ends_with_the_engine() -> None:
    engine = Espeak()
    assert not children()
    await Speaker(engine, "en-us").say("Hello.")
    assert len(children()) == 1
    await engine.close()
    assert not children()
    await engine.close()


async def test_sessions_that_begin_together_share_one_child(engine: Espeak) -> None:
    await asyncio.gather(*(Speaker(engine, "en-us").say("Hello.") for _ in range(8)))
    assert len(children()) == 1


async def test_a_child_that_dies_fails_its_clause_and_is_replaced(engine: Espeak) -> None:
    speaker = Speaker(engine, "en-us")
    async with speaker.saying(LONG) as chunks:
        await anext(chunks)
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        with pytest.raises(ProviderUnreachable) as failure:
            async for _ in chunks:
                pass
    assert failure.value.retryable
    assert await speaker.say("Hello.")
    assert children() - {child}


async def test_a_child_that_hangs_is_ended_and_replaced(
    engine: Espeak, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = Speaker(engine, "en-us")
    await engine.load()
    (child,) = children()
    os.kill(child, signal.SIGSTOP)
    monkeypatch.setattr(espeak, "WAIT_SECONDS", 0.2)
    with pytest.raises(ProviderTimeout):
        await speaker.say("Hello.")
    monkeypatch.undo()
    assert await speaker.say("Hello.")
    assert children() - {child}


async def test_a_hanging_child_does_not_keep_the_engine_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(espeak, "CLOSE_SECONDS", 0.2)
    engine = Espeak()
    await engine.load()
    (child,) = children()
    os.kill(child, signal.SIGSTOP)
    await engine.close()
    assert not children()


def test_the_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio\n"
            "from nur_server.providers.espeak import Espeak\n"
            "async def main():\n"
            "    engine = Espeak()\n"
            "    await engine.load()\n"
            "    print(engine.child_pid, flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())\n",
        ],
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("the worker outlived its parent")


async def test_a_missing_voice_is_named_and_the_child_lives_on(engine: Espeak) -> None:
    with pytest.raises(ProviderRejected, match="xx-nobody"):
        await Speaker(engine, "xx-nobody").say("Hello.")
    before = children()
    assert await Speaker(engine, "es+f2").say("Buenos días.")
    assert children() == before


async def test_a_number_has_one_word_time(engine: Espeak) -> None:
    text = "Order 1234 ships."
    chunks = await Speaker(engine, "en-us").say(text)
    assert [word.character for chunk in chunks for word in chunk.words] == [0, 6, 11]


async def test_word_times_count_characters_not_bytes(engine: Espeak) -> None:
    text = "Mañana él está aquí seguro"
    chunks = await Speaker(engine, "es").say(text)
    starts = [word.character for chunk in chunks for word in chunk.words]
    assert starts[-1] == text.index("seguro")


async def test_a_clause_begins_without_silence(engine: Espeak) -> None:
    samples = samples_of(await Speaker(engine, "en-us").say("Hello there.")).astype(np.int32)
    assert abs(samples[0]) >= espeak.LEAD_THRESHOLD


async def test_the_clause_behind_one_given_up_does_not_wait_for_it(engine: Espeak) -> None:
    speaker = Speaker(engine, "en-us")
    async with speaker.saying(LONG) as chunks:
        await anext(chunks)
    assert await speaker.say("Hello.")


def test_settings_are_read_from_the_voice() -> None:
    assert VoiceSettings.parse("es") == VoiceSettings("es")
    assert VoiceSettings.parse("en-us+f3:pitch=60,rate=200") == VoiceSettings("en-us+f3", 60, 200)
    assert VoiceSettings("es", rate=160).rate_at(0.1) == 80
    assert VoiceSettings("es", rate=160).rate_at(1.5) == 240
