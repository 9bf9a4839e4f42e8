import pytest
from pydantic import BaseModel, ValidationError

import nur.errors
from nur_server.cli.failures import Failure, explain
from nur_server.errors import Unavailable
from nur_server.settings import Settings


@pytest.mark.parametrize(
    "error",
    [
        Failure("the port is taken"),
        Unavailable("the port is taken"),
        nur.errors.ConnectionFailed("the port is taken"),
        ExceptionGroup("tasks", [ValueError("inner"), Unavailable("the port is taken")]),
        OSError(98, "the port is taken"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception) -> None:
    assert explain(error) == ["the port is taken"]


def test_a_file_that_cannot_be_used_is_named() -> None:
    assert explain(PermissionError(13, "Permission denied", "/etc/shadow")) == [
        "Permission denied (/etc/shadow)"
    ]


def test_a_setting_is_called_by_the_name_of_its_variable() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(_env_file=None, port=-1)
    (line,) = explain(raised.value) or []
    assert line.startswith("NUR_PORT:") and line.endswith("got -1")


def test_settings_that_contradict_each_other_are_explained() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(_env_file=None, llm_fallback_model="second")
    assert explain(raised.value) == [
        "NUR_LLM_FALLBACK_MODEL needs NUR_LLM_FALLBACK_URL or NUR_LLM_URL"
    ]


def test_a_mistake_of_our_own_is_not_hidden() -> None:
    class Other(BaseModel):
        number: int

    with pytest.raises(ValidationError) as raised:
        Other.model_validate({"number": "x"})
    assert explain(raised.value) is None
    assert explain(KeyError("x")) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("llm_url", "ftp://ann:hunter22@models/v1"),
        ("stt_url", "ann:hunter22@models/v1"),
        ("tts_url", "wss://models/v1?key=hunter22"),
        ("database_url", 22),
    ],
)
def test_a_bad_setting_is_explained_without_its_secrets(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(_env_file=None, **{name: value})
    (line,) = explain(raised.value) or []
    assert line.startswith(f"NUR_{name.upper()}:") and "22" not in line


def test_an_error_is_explained_without_the_secrets_of_an_address() -> None:
    lines = explain(Unavailable("cannot reach postgresql://nur:hunter22@db/nur: refused"))
    assert lines == ["cannot reach postgresql://***@db/nur: refused"]
