"""Engines looked after in the background."""

import asyncio

import pytest
from structlog.testing import capture_logs

from nur_server.errors import ProviderRejected, ProviderUnreachable
from nur_server.ports import EngineVoice
from nur_server.providers import watching
from nur_server.providers.loading import Remote
from nur_server.providers.speech_voices import listed_voices
from nur_server.providers.watching import EngineWatch


class Server:
    """A server of any kind that can be broken."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.voices_failure: Exception | None = None
        self.looks = 0
        self.was_asked_thrice = asyncio.Event()
        self.listed = [EngineVoice("af_heart", "en-US", "female")]

    async def check(self) -> None:
        self.looks += 1
        if self.looks == 3:
            self.was_asked_thrice.set()
        if self.failure is not None:
            raise self.failure

    async def voices(self) -> list[EngineVoice]:
        if self.voices_failure is not None:
            raise self.voices_failure
        return self.listed


def watch(*servers: Server) -> EngineWatch:
    return EngineWatch(
        [
            Remote(f"engine{n}", "tts", check=server.check, voices=server.voices)
            for n, server in enumerate(servers)
        ]
    )


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (ProviderUnreachable("connect 10.0.0.5", provider="x"), "nothing answers at its address"),
        (ProviderRejected("no", provider="x", code="key_refused"), "its server refuses the key"),
        (ProviderRejected("no", provider="x"), "its server fails"),
        (TimeoutError(), "its server does not answer in time"),
        (KeyError("x"), "its server fails"),
    ],
)
async def test_an_engine_that_cannot_be_used_is_known_until_it_can(
    failure: Exception, problem: str
) -> None:
    good, bad = Server(), Server()
    bad.failure = failure
    both = watch(good, bad)
    assert [state.is_known for state in both.states()] == [False, False]
    await both.look()
    assert [state.problem for state in both.states()] == [None, problem]
    assert both.state("tts", "engine1") == both.states()[1]
    assert both.state("llm", "engine1") is None
    bad.failure = None
    await both.look()
    assert [state.problem for state in both.states()] == [None, None]


async def test_a_change_is_logged_once_and_without_passwords() -> None:
    server = Server()
    server.failure = ProviderUnreachable("no http://ann:hunter22@host/v1", provider="x")
    own = watch(server)
    with capture_logs() as lines:
        for _ in range(3):
            await own.look()
        server.failure = None
        await own.look()
    assert [line["event"] for line in lines] == [
        "engine cannot be used",
        "engine can be used again",
    ]
    assert lines[0]["reason"] == "no http://***@host/v1"


async def test_it_looks_again_and_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    server, stopping = Server(), asyncio.Event()
    own = watch(server)
    running = asyncio.create_task(own.run(stopping))
    async with asyncio.timeout(20):
        await server.was_asked_thrice.wait()
        monkeypatch.setattr(watching, "LOOK_SECONDS", 3600)
        stopping.set()
        await running
    assert own.voices() == {"engine0": tuple(server.listed)}


async def test_an_engine_that_hangs_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ENGINE_SECONDS", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    good = Server()
    both = EngineWatch([Remote("slow", "llm", check=hang), Remote("good", "llm", check=good.check)])
    await both.look()
    assert [state.code for state in both.states()] == ["provider_timeout", None]


async def test_voices_that_cannot_be_listed_are_asked_for_again() -> None:
    server = Server()
    own = watch(server)
    server.voices_failure = ProviderUnreachable("gone", provider="x")
    await own.look_for_voices()
    assert own.voices() == {}
    server.voices_failure = None
    server.listed = [EngineVoice(name) for name in ("a", "a", "", "x" * 300, "b\n", "c")]
    await own.look_for_voices()
    assert [voice.name for voice in own.voices()["engine0"]] == ["a", "c"]


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ({"voices": ["vivian", "ryan"], "uploaded_voices": [{"name": "mine"}]},
         ["vivian", "ryan", "mine"]),
        ({"voices": [{"id": "af_heart", "name": "Heart"}]}, ["af_heart"]),
        ([{"voice_id": "x", "language": "pt_br", "gender": "F"}], ["x"]),
        ({"data": [{"id": "y"}, {"no": "name"}, 7, None]}, ["y"]),
        ({"voices": {"a": 1}}, []),
        ("nothing", []),
        (None, []),
    ],
)  # fmt: skip
def test_lists_of_voices_are_read_as_servers_write_them(listing: object, names: list[str]) -> None:
    assert [voice.name for voice in listed_voices(listing)] == names


def test_what_a_list_says_of_a_voice_is_kept() -> None:
    (voice,) = listed_voices([{"id": "x", "lang": "pt_br", "gender": "F", "description": "Warm"}])
    assert voice == EngineVoice("x", "pt-BR", "female", "Warm")
    (unknown,) = listed_voices([{"id": "x", "lang": "xx", "gender": "?"}])
    assert unknown == EngineVoice("x")
