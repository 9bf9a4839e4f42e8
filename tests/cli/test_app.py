import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Nur


def test_every_command_explains_itself(nur: Nur) -> None:
    shown = nur("--help")
    assert shown.code == 0
    for command in ("serve", "demo", "talk", "keys", "models", "doctor", "migrate", "version"):
        assert command in shown.out
        assert nur(command, "--help").code == 0


def test_says_its_version(nur: Nur) -> None:
    assert nur("version").out.startswith("nur 0.")


def test_a_command_that_does_not_exist_is_a_mistake_in_usage(nur: Nur) -> None:
    assert nur("sing").code == 2


def test_an_impossible_setting_is_named_in_one_line(
    nur: Nur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUR_PORT", "99999")
    monkeypatch.setenv("NUR_LOG_LEVEL", "loud")
    refused = nur("serve")
    assert refused.code == 1
    port, level = refused.err.splitlines()
    assert "NUR_PORT" in port and "65535" in port and "99999" in port
    assert "NUR_LOG_LEVEL" in level and "debug, info, warning, error" in level


@pytest.mark.parametrize(
    "sources",
    [("--mic", "--say", "Hello"), ("--wav", "x.wav", "--mic"), ("--wav", "x.wav", "--say", "Hi")],
)
def test_a_caller_has_one_mouth(nur: Nur, sources: tuple[str, ...]) -> None:
    refused = nur("talk", "Support", *sources)
    assert refused.code == 2
    assert "at most one of --say, --wav and --mic" in refused.err


def test_a_caller_who_says_nothing_is_asked_what_to_say(nur: Nur) -> None:
    refused = nur("talk", "Support")
    assert refused.code == 2
    assert "expected one of --say, --wav and --mic" in refused.err


def test_an_answer_for_a_tool_needs_the_name_of_the_tool(nur: Nur) -> None:
    refused = nur("talk", "Support", "--say", "Hi", "--api-key", "nur_x", "--tool", "shipped")
    assert refused.code == 2
    assert "NAME=ANSWER" in refused.err


def test_help_does_not_load_the_engines(tmp_path: Path) -> None:
    script = (
        "import sys; from nur_server.cli.app import run; run(['--help']); "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_math_libraries_are_kept_to_one_thread_before_they_load() -> None:
    script = (
        "import sys; import nur_server.cli as cli; sys.argv = ['nur', 'version']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "import os; print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PATH": "/usr/bin"}
    )
    assert done.stdout.splitlines()[-1] == "1 1"
