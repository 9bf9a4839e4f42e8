import json
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from nur_server.cli.failures import explain
from nur_server.redaction import secrets_of
from nur_server.settings import Settings, unknown_settings

TOML = """
[[engines]]
name = "kokoro"
kind = "tts"
url = "http://localhost:8880/v1"
voice = "af_sky"

[[engines]]
name = "large"
kind = "llm"
url = "https://models.example/v1"
model = "vendor/large-1"
key = "sk-large-key"
default = true
"""


def settings(engines: str) -> Settings:
    return Settings(_env_file=None, engines=engines)


def problem_of(engines: object) -> str:
    with pytest.raises(ValidationError) as raised:
        Settings(_env_file=None, engines=engines)
    (line,) = explain(raised.value) or []
    assert line.startswith("NUR_ENGINES:")
    return line


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_table_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    import tomllib

    file = tmp_path / f"engines{suffix}"
    file.write_text(TOML if suffix == ".toml" else json.dumps(tomllib.loads(TOML)))
    kokoro, large = settings(str(file)).engines
    assert (kokoro.name, kokoro.type, kokoro.voice) == ("kokoro", "openai", "af_sky")
    assert kokoro.server_model == "kokoro" and large.server_model == "vendor/large-1"
    assert large.key == SecretStr("sk-large-key") and large.default


def test_a_table_is_read_from_json_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "small", "kind": "llm", "url": "http://localhost:1/v1"}
    monkeypatch.setenv("NUR_ENGINES", json.dumps([row]))
    assert [engine.name for engine in Settings(_env_file=None).engines] == ["small"]
    monkeypatch.setenv("NUR_ENGINES", "")
    assert Settings(_env_file=None).engines == ()


def test_a_key_may_stand_in_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUR_KOKORO_KEY", "sk-kokoro")
    row = {"name": "kokoro", "kind": "tts", "url": "http://h/v1", "key_env": "NUR_KOKORO_KEY"}
    read = settings(json.dumps([row]))
    assert read.engines[0].key == SecretStr("sk-kokoro")
    assert unknown_settings(read, ["NUR_KOKORO_KEY"]) == []
    assert "sk-kokoro" in secrets_of(read)
    monkeypatch.delenv("NUR_KOKORO_KEY")
    assert "got NUR_KOKORO_KEY" in problem_of(json.dumps([row]))


ROW = {"name": "kokoro", "kind": "tts", "url": "http://h/v1"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "modell": "x"}, "engine 1 (kokoro): modell: there is no such field; fields: name"),
        ({**ROW, "kind": "asr"}, "engine 1 (kokoro): kind: Input should be 'stt', 'llm' or 'tts'"),
        ({**ROW, "url": "localhost"}, "engine 1 (kokoro): url:"),
        ({"kind": "tts"}, "engine 1: name: Field required"),
        ({**ROW, "kind": "llm", "voice": "x"}, "expected voice only where kind is tts"),
        ({**ROW, "key": "hunter22", "key_env": "K"}, "expected key or key_env, got both"),
        ({**ROW, "key": ["hunter22"]}, "engine 1 (kokoro): key:"),
        ("kokoro", "engine 1: expected a table"),
    ],
)
def test_a_wrong_engine_is_named_and_its_key_is_not(row: object, said: str) -> None:
    line = problem_of(json.dumps([row]))
    assert said in line and "hunter22" not in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[", "expected JSON"),
        ('{"engine": []}', "expected engines alone"),
        ("kokoro", "path of a .toml or .json file"),
        ("/nowhere/engines.toml", "No such file"),
        (json.dumps([ROW, ROW]), "expected each tts engine once"),
        (
            json.dumps([{**ROW, "name": name, "default": True} for name in "ab"]),
            "at most one default",
        ),
        (json.dumps([{**ROW, "name": str(n)} for n in range(65)]), "at most 64"),
        ('{"engines": 7}', "expected a list of engines"),
    ],
)
def test_a_table_that_cannot_be_used_is_explained(given: str, said: str) -> None:
    assert said in problem_of(given)
