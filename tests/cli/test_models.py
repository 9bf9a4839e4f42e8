from pathlib import Path

import pytest

from nur_server.providers import weights

from .conftest import Nur


def test_says_which_models_are_missing_and_how_to_get_them(
    nur: Nur, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUR_MODELS_DIR", str(tmp_path / "models"))
    listed = nur("models", "list").out
    for name, model in weights.MODELS.items():
        row = next(line for line in listed.splitlines() if line.startswith(name))
        command = ["nur", "models", "pull", *([model.pack] if model.pack else [])]
        state = "optional:" if model.pack else "missing:"
        assert row.split()[1 : 2 + len(command)] == [state, *command]
    for id in ("qwen3.5-4b", "voxtral-realtime", "qwen3-tts", "offline"):
        assert id in listed


def test_models_that_are_there_are_not_fetched_again(nur: Nur, models_dir: Path) -> None:
    assert "missing" not in nur("models", "list").out
    pulled = nur("models", "pull")
    assert pulled.code == 0
    assert pulled.out == "Every model is there already\n"


def test_a_model_that_does_not_exist_is_refused_with_those_that_do(
    nur: Nur, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUR_MODELS_DIR", str(tmp_path / "models"))
    refused = nur("models", "pull", "whisper")
    assert refused.code == 1
    assert "whisper" in refused.err and weights.MOONSHINE in refused.err
