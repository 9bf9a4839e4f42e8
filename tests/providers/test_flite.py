"""flite, beyond the contract of its port."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from contracts import Speaker, samples_of

from nur_server.errors import ProviderRejected
from nur_server.ports import Samples
from nur_server.providers import flite
from nur_server.providers.flite import Flite, VoiceSettings

pytestmark = pytest.mark.skipif(
    not flite.available(), reason="libflite is not installed on this machine (Debian: libflite1)"
)

ORDER = "Your order, number 1234, ships on Tuesday — at 4:30 (maybe)."


@pytest.fixture
async def engine() -> AsyncIterator[Flite]:
    engine = Flite()
    await engine.load()
    yield engine
    await engine.close()


@pytest.mark.parametrize("voice", flite.VOICES)
async def test_every_voice_speaks_with_word_times(engine: Flite, voice: str) -> None:
    chunks = await Speaker(engine, voice).say(ORDER)
    words = [word for chunk in chunks for word in chunk.words]
    spoken = [ORDER[word.character :].split()[0] for word in words]
    assert spoken == ["Your", "order,", "number", "1234,", "ships", "on", "Tuesday", "at", "4:30",
                      "maybe)."]  # fmt: skip


async def test_a_clause_begins_without_silence(engine: Flite) -> None:
    samples = samples_of(await Speaker(engine, "slt").say("Hello there.")).astype(np.int32)
    assert np.abs(samples[: 16_000 // 10]).max() > 500


async def test_the_first_chunk_is_short(engine: Flite) -> None:
    first, *rest = await Speaker(engine, "slt").say(ORDER)
    assert len(first.samples) < 16_000 // 10
    assert len(rest) < 40


async def test_pitch_changes_the_voice(engine: Flite) -> None:
    low = samples_of(await Speaker(engine, "slt:pitch=0.8").say("Ah, hello."))
    high = samples_of(await Speaker(engine, "slt:pitch=1.4").say("Ah, hello."))
    assert pitch_hz(high) > 1.4 * pitch_hz(low)


async def test_a_setting_does_not_stay_with_the_voice(engine: Flite) -> None:
    plain = samples_of(await Speaker(engine, "slt").say(ORDER))
    await Speaker(engine, "slt:stretch=2").say(ORDER)
    assert len(samples_of(await Speaker(engine, "slt").say(ORDER))) == len(plain)


async def test_two_engines_share_the_voices_of_the_process(engine: Flite) -> None:
    other = Flite()
    plain = len(samples_of(await Speaker(engine, "slt").say(ORDER)))
    both = await asyncio.gather(
        *(Speaker(flite, "slt").say(ORDER) for flite in (engine, other) for _ in range(3))
    )
    await other.close()
    assert {len(samples_of(chunks)) for chunks in both} == {plain}


async def test_clauses_are_made_in_the_order_they_were_asked_for(engine: Flite) -> None:
    finished: list[int] = []

    async def say(number: int) -> None:
        await Speaker(engine, "kal16").say("Hello there.")
        finished.append(number)

    await asyncio.gather(*map(say, range(8)))
    assert finished == list(range(8))


async def test_too_many_clauses_in_line_are_refused(
    engine: Flite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flite, "MAX_WAITING", 2)
    speaker = Speaker(engine, "slt")
    done = await asyncio.gather(*(speaker.say(ORDER) for _ in range(3)), return_exceptions=True)
    (refused,) = [result for result in done if isinstance(result, ProviderRejected)]
    assert refused.retryable
    assert refused.code == "overloaded"


def test_settings_are_read_from_the_voice() -> None:
    assert VoiceSettings.parse("rms") == VoiceSettings("rms", 1.0, 1.0)
    assert VoiceSettings.parse("slt:pitch=1.2,stretch=0.9") == VoiceSettings("slt", 1.2, 0.9)


@pytest.mark.parametrize("voice", ["slt:pitch", "slt:pitch=9", "slt:name=rms", "slt:colour=1"])
def test_a_wrong_setting_is_refused(voice: str) -> None:
    with pytest.raises(ProviderRejected, match="expected one of the flite voices"):
        VoiceSettings.parse(voice)


def pitch_hz(samples: Samples) -> float:
    """Median fundamental frequency of the voiced frames, by autocorrelation."""
    found = []
    for start in range(0, len(samples) - 800, 400):
        frame = samples[start : start + 800].astype(np.float64)
        if frame.std() < 500:
            continue
        frame -= frame.mean()
        correlation = np.correlate(frame, frame, "full")[799:]
        lag = 40 + int(correlation[40:266].argmax())
        if correlation[lag] > 0.5 * correlation[0]:
            found.append(16_000 / lag)
    return float(np.median(found))
