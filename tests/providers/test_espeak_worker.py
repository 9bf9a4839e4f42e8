"""The worker program, spoken to over its pipes."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nur_server.providers import espeak_worker
from nur_server.providers.espeak_worker import AUDIO, END, ERROR, READY, WORDS


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """The program, running."""
    with subprocess.Popen(
        [sys.executable, "-P", espeak_worker.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def send(worker: subprocess.Popen[bytes], **message: object) -> None:
    assert worker.stdin is not None
    body = json.dumps(message).encode()
    worker.stdin.write(struct.pack("<I", len(body)) + body)
    worker.stdin.flush()


def receive(worker: subprocess.Popen[bytes]) -> tuple[int, int, bytes]:
    """Kind, clause and payload of the next frame."""
    assert worker.stdout is not None
    frame = espeak_worker.read_frame(worker.stdout)
    assert frame is not None
    kind, clause = struct.unpack_from("<BI", frame)
    return kind, clause, frame[5:]


def test_it_says_its_sample_rate_first(worker: subprocess.Popen[bytes]) -> None:
    assert receive(worker) == (READY, 0, b'{"sample_rate": 22050}')


def test_a_clause_is_audio_and_words_and_an_end(worker: subprocess.Popen[bytes]) -> None:
    receive(worker)
    send(worker, id=7, text="Hello there.", voice="en-us", rate=165, pitch=50)
    frames = []
    while not frames or frames[-1][0] != END:
        frames.append(receive(worker))
    assert {clause for _, clause, _ in frames} == {7}
    audio = b"".join(payload for kind, _, payload in frames if kind == AUDIO)
    words = [w for kind, _, payload in frames if kind == WORDS for w in json.loads(payload)]
    assert len(audio) > 22_050
    assert [character for character, _ in words] == [0, 6]


def test_clauses_come_in_order(worker: subprocess.Popen[bytes]) -> None:
    receive(worker)
    for clause in (1, 2, 3):
        send(worker, id=clause, text="One.", voice="en-us", rate=165, pitch=50)
    ends: list[int] = []
    while len(ends) < 3:
        kind, clause, _ = receive(worker)
        if kind == END:
            ends.append(clause)
    assert ends == [1, 2, 3]


def test_a_stopped_clause_makes_no_audio(worker: subprocess.Popen[bytes]) -> None:
    receive(worker)
    send(worker, stop=5)
    send(worker, id=5, text="Never said.", voice="en-us", rate=165, pitch=50)
    assert receive(worker) == (END, 5, b"")


def test_an_unknown_voice_is_an_error_of_its_clause(worker: subprocess.Popen[bytes]) -> None:
    receive(worker)
    send(worker, id=1, text="Hello.", voice="nobody", rate=165, pitch=50)
    kind, clause, message = receive(worker)
    assert (kind, clause) == (ERROR, 1)
    assert b"nobody" in message


def test_it_ends_with_its_input(worker: subprocess.Popen[bytes]) -> None:
    receive(worker)
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(10) == 0


def test_it_imports_nothing_of_the_server() -> None:
    program = (
        "import runpy, sys\n"
        f"runpy.run_path({espeak_worker.__file__!r}, run_name='worker')\n"
        "print(*sorted(name.partition('.')[0] for name in sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=True)
    assert not {"nur_server", "nur", "numpy"} & set(run.stdout.decode().split())
