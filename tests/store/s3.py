"""A bucket on loopback: moto's S3 server, in a process of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from xml.etree import ElementTree

import httpx2
import pytest

BUCKET = "calls"
URL = f"s3://{BUCKET}/nur"
NEEDED = ("obstore", "moto", "flask", "flask_cors")
END_SECONDS = 20


class S3:
    """The server, seen past the store that Nur uses."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx2.Client(base_url=address, trust_env=False)

    def make_bucket(self) -> None:
        """The only one, and empty."""
        self._http.post("/moto-api/reset").raise_for_status()
        self._http.put(f"/{BUCKET}").raise_for_status()

    def remove_bucket(self) -> None:
        self._http.post("/moto-api/reset").raise_for_status()

    def stored(self) -> list[str]:
        answer = self._http.get(f"/{BUCKET}", params={"list-type": "2"})
        answer.raise_for_status()
        return [
            key.text or "" for key in ElementTree.fromstring(answer.content).findall(".//{*}Key")
        ]

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """Skips the test without moto."""
    for name in NEEDED:
        if find_spec(name) is None:
            pytest.skip(f"needs {name}: pip install obstore 'moto[s3]' flask flask-cors")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, b"")
        found = next(filter(None, (re.search(rb"http://[\d.:]+", line) for line in lines)), None)
        assert found is not None, f"expected moto to say where it is, it ended: {process.poll()}"
        server = S3(found[0].decode())
        yield server
        server.close()
    finally:
        process.kill()
        process.communicate(timeout=END_SECONDS)


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """With an empty bucket, and the variables that lead there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "a secret for tests",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": s3_server.address,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3_server.make_bucket()
    return s3_server
