import json
import socket
from pathlib import Path

import pytest

from nur_server.providers import weights

from .conftest import Nur


def lines_about(name: str, report: str) -> list[str]:
    return [line for line in report.splitlines() if f" {name} " in line]


def test_a_machine_that_has_everything_is_well(nur: Nur, models_dir: Path) -> None:
    report = nur("doctor")
    assert report.code == 0
    for name in (*weights.MODELS, "database"):
        (line,) = lines_about(name, report.out)
        is_optional = name in weights.MODELS and weights.MODELS[name].pack is not None
        assert line.startswith("ok") or (is_optional and "nur models pull" in line)


def test_missing_models_are_named_with_the_command_that_fetches_them(
    nur: Nur, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUR_MODELS_DIR", str(tmp_path / "models"))
    report = nur("doctor")
    assert report.code == 1
    (line,) = lines_about(weights.MOONSHINE, report.out)
    assert line.startswith("!!") and line.endswith("nur models pull")


def test_without_a_language_model_it_says_who_answers(nur: Nur, models_dir: Path) -> None:
    (line,) = lines_about("language model", nur("doctor").out)
    assert line.startswith("--") and "rules answer" in line and "NUR_LLM_URL" in line


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("NUR_LLM_URL", "language model"),
        ("NUR_STT_URL", "speech to text"),
        ("NUR_TTS_URL", "text to speech"),
    ],
)
def test_a_model_server_that_does_not_answer_is_a_fault(
    nur: Nur, models_dir: Path, monkeypatch: pytest.MonkeyPatch, setting: str, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    monkeypatch.setenv(setting, url)
    report = nur("doctor")
    assert report.code == 1
    (line,) = lines_about(name, report.out)
    assert line.startswith("!!") and url in line


def test_every_engine_of_the_table_and_the_fallback_are_asked(
    nur: Nur, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"name": "fast", "kind": "llm", "url": "http://127.0.0.1:9/v1"},
        {"name": "mouth", "kind": "tts", "url": "http://127.0.0.1:9/v1"},
        {"name": "ears", "kind": "stt", "type": "acme"},
    ]
    monkeypatch.setenv("NUR_ENGINES", json.dumps(rows))
    monkeypatch.setenv("NUR_LLM_FALLBACK_URL", "http://127.0.0.1:9/second/v1")
    report = nur("doctor")
    assert report.code == 1
    fast, second = lines_about("language model", report.out)
    assert "fast at http://127.0.0.1:9/v1" in fast and "second/v1" in second
    (mouth,), (ears,) = (
        lines_about(kind, report.out) for kind in ("text to speech", "speech to text")
    )
    assert mouth.startswith("!!") and "mouth at" in mouth
    assert "expected a type that is installed" in ears and "correct NUR_ENGINES" in ears


def test_a_database_that_cannot_be_used_is_a_fault(
    nur: Nur, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUR_DATABASE_URL", "mysql://localhost/nur")
    report = nur("doctor")
    assert report.code == 1
    (line,) = lines_about("database", report.out)
    assert line.startswith("!!") and "NUR_DATABASE_URL" in line


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("NUR_LLM_URL", "http://ann:hunter22@127.0.0.1:9/v1"),
        ("NUR_STT_URL", "http://127.0.0.1:9/v1?key=hunter22"),
        ("NUR_TTS_URL", "http://hunter22@127.0.0.1:9/v1"),
        ("NUR_DATABASE_URL", "postgresql://nur:hunter22@127.0.0.1:9/nur"),
        ("NUR_DATABASE_URL", "postgresql://127.0.0.1:9/nur?password=hunter22"),
        ("NUR_BLOBS_URL", "ftp://ann:hunter22@127.0.0.1:9/blobs"),
    ],
)
def test_no_password_is_printed(
    nur: Nur, models_dir: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setenv(setting, value)
    report = nur("doctor")
    assert report.code == 1
    assert "hunter22" not in report.out + report.err


@pytest.mark.parametrize("name", ["NUR_MAX_SESSION", "NUR_SESSIONS_MAX", "NURMAX_SESSIONS"])
def test_an_unknown_setting_is_told(
    nur: Nur, models_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "3")
    report = nur("doctor")
    (line,) = lines_about("setting", report.out)
    assert line.startswith("--") and "did you mean NUR_MAX_SESSIONS?" in line
    assert report.code == 0


def test_other_commands_tell_of_an_unknown_setting(
    nur: Nur, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUR_DATA_DIRECTORY", "elsewhere")
    assert "did you mean NUR_DATA_DIR?" in nur("keys", "list").err
