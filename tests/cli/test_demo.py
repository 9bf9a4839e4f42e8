"""`nur demo` as a newcomer runs it: real speech, both ways, over a real socket."""

import signal
import socket
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Program

Start = Callable[..., Program]
CONVERSATION_SECONDS = 100

pytestmark = [pytest.mark.xdist_group("spoken"), pytest.mark.timeout(400)]


def test_a_conversation_that_happened_ends_well(program: Start, data_dir: Path) -> None:
    demo = program("demo", "--exit", "--port", "0")
    done = demo.finish(CONVERSATION_SECONDS)
    assert done.code == 0, done.err
    lines = [line.split(maxsplit=1) for line in done.out.splitlines() if line.startswith("  ")]
    speakers = [line[0] for line in lines]
    assert speakers.count("caller") == 5
    assert speakers.count("tool") == 1
    assert sum(line[-1].endswith("— interrupted") for line in lines) == 1
    assert "checks" in done.out.splitlines()[-1]
    with wave.open(str(data_dir / "demo.wav")) as recording:
        assert recording.getnchannels() == 2
        assert recording.getnframes() > 20 * recording.getframerate()


def test_leaves_the_server_up_until_it_is_told_to_stop(program: Start) -> None:
    demo = program("demo", "--say", "What are your opening hours?", "--port", "0")
    address = demo.line_with("Nur is ready at").split()[-1]
    assert "talk agt_" in demo.line_with("Talk to it")
    assert address in demo.line_with("Ask the API")
    demo.line_with("Write code")
    demo.signal(signal.SIGINT)
    assert demo.finish().code == 0


def test_stops_in_the_middle_of_the_conversation(program: Start) -> None:
    demo = program("demo", "--port", "0")
    demo.line_with("caller")
    demo.signal(signal.SIGINT)
    ended = demo.finish()
    assert ended.code == 1
    assert "Traceback" not in ended.err


def test_takes_a_free_port_where_the_usual_one_is_taken(
    program: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        other = socket.create_server(("127.0.0.1", 8080))
    except OSError:
        other = None  # somebody else has it, which does as well
    try:
        demo = program("demo")
        assert not demo.line_with("Nur is ready at").endswith(":8080")
        demo.signal(signal.SIGINT)
        assert "port 8080 is taken" in demo.finish().err
    finally:
        if other is not None:
            other.close()
