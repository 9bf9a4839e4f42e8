import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from nur_server.api import logs
from nur_server.settings import Settings
from tests.api.conftest import AGENT, Start


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests log as they would have."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configure(**values: Any) -> None:
    logs.configure(Settings(_env_file=None, **values))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_static_text_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    structlog.get_logger("nur_server.x").info("it happened", agent_id="agt_1")
    logging.getLogger("some.library").warning("beware of %s", "that")
    ours, theirs = lines(capsys)
    assert ours["event"] == "it happened"
    assert ours["agent_id"] == "agt_1"
    assert (ours["level"], ours["logger"]) == ("info", "nur_server.x")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"]) == ("beware of that", "warning")


def test_what_callers_said_is_kept_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    structlog.get_logger().info("heard", pii={"text": "my secret"})
    configure(log_format="json", log_pii=True)
    structlog.get_logger().info("heard", pii={"text": "my secret"})
    without, kept = lines(capsys)
    assert "pii" not in without
    assert kept["pii"] == {"text": "my secret"}


@pytest.mark.parametrize("kind", ["json", "console"])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    configure(log_format=kind)
    password = "".join(["hun", "ter2"])
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("failed")
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert password not in told


def test_the_level_holds_and_repeating_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        configure(log_format="json", log_level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("httpx2").info("quiet too")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


async def test_a_request_is_logged_without_what_was_sent(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    async with start(log_format="json", log_level="info") as server:
        capsys.readouterr()
        await server.call(
            "POST", "/v1/agents?note=private", 201, json={**AGENT, "name": "Private name"}
        )
        told = capsys.readouterr().err
    (line,) = [json.loads(line) for line in told.splitlines() if '"request"' in line]
    assert (line["method"], line["status"]) == ("POST", 201)
    assert line["route"] == "/v1/agents"
    assert line["request_id"].startswith("req_")
    assert "rivate" not in told
    assert server.key not in told
