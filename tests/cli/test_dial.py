"""`nur dial` against a server with scripted engines and its simulated carrier."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nur import Agent, NurClient
from tests.sdk.live_server import RunningServer, running

from .conftest import Nur

ANSWERS, BUSY = "+15550105", "+15550101"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("dial")) as server:
        yield server


@pytest.fixture
def agent(server: RunningServer) -> Iterator[Agent]:
    with NurClient(server.key, server.url) as client:
        agent = client.agents.create(
            name="Shop",
            voice_id="hazel",
            system_prompt="Be brief.",
            first_message="Hello {{name}}!",
        )
        yield agent
        client.agents.delete(agent.id)


def dial(nur: Nur, server: RunningServer, *arguments: str) -> tuple[int, str, str]:
    done = nur("dial", *arguments, "--url", server.url, "--api-key", server.key)
    return done.code, done.out, done.err


def test_a_call_is_shown_from_the_first_ring_to_the_end(
    nur: Nur, server: RunningServer, agent: Agent
) -> None:
    code, out, _ = dial(nur, server, ANSWERS, "--agent", "shop", "--context", "name=Ada")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"Shop calls {ANSWERS} as +15550199 (call_")
    assert [line.strip() for line in lines if line.strip() in ("ringing", "in progress")] == [
        "ringing",
        "in progress",
    ]
    assert "Hello Ada!" in out
    assert "completed: caller_hung_up after" in lines[-1]


def test_a_call_that_fails(nur: Nur, server: RunningServer, agent: Agent) -> None:
    code, out, _ = dial(nur, server, BUSY, "--agent", agent.id)
    assert code == 1
    assert out.splitlines()[-1] == "failed: busy"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((ANSWERS, "--agent", "Nobody"), "expected the id or the name of an agent"),
        (("12345", "--agent", "Shop"), "expected a number in E.164"),
        (("+19005551234", "--agent", "Shop"), "premium"),
        ((ANSWERS, "--agent", "Shop", "--context", "name"), "expected NAME=VALUE"),
    ],
)
def test_what_cannot_be_dialled(
    nur: Nur, server: RunningServer, agent: Agent, arguments: tuple[str, ...], complaint: str
) -> None:
    code, _, err = dial(nur, server, *arguments)
    assert code != 0
    assert complaint in err


def test_a_server_that_is_not_there(nur: Nur, data_dir: Path) -> None:
    done = nur("dial", ANSWERS, "--agent", "Shop")
    assert done.code == 1
    assert "expected an API key" in done.err


def test_hanging_up(nur: Nur, server: RunningServer, agent: Agent) -> None:
    """Another terminal ends the call; this one shows it."""
    ended = threading.Event()

    def hang_up() -> None:
        with NurClient(server.key, server.url) as client:
            while not ended.wait(0.1):
                for call in client.calls.list(status="in_progress"):
                    client.calls.end(call.id)
                    return

    other = threading.Thread(target=hang_up)
    other.start()
    code, out, _ = dial(nur, server, "+15550100", "--agent", "Shop")
    ended.set()
    other.join(10)
    assert code == 0
    assert "completed: client_ended" in out.splitlines()[-1]
