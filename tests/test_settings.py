from pathlib import Path

import pytest

from nur_server.settings import Settings, unknown_settings

SETTINGS = Settings(_env_file=None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NUR_MAX_SESSION", "NUR_MAX_SESSIONS"),
        ("NUR_MAX_SESIONS", "NUR_MAX_SESSIONS"),
        ("NUR_SESSIONS_MAX", "NUR_MAX_SESSIONS"),
        ("NUR-MAX-SESSIONS", "NUR_MAX_SESSIONS"),
        ("NURMAX_SESSIONS", "NUR_MAX_SESSIONS"),
        ("nur_prot", "NUR_PORT"),
        ("NUR_LLM_KEY", "NUR_LLM_API_KEY"),
        ("NUR_DATABASE", "NUR_DATABASE_URL"),
        ("NUR_WEATHER", None),
    ],
)
def test_an_unknown_setting_is_found_with_the_one_that_was_meant(
    name: str, meant: str | None
) -> None:
    (unknown,) = unknown_settings(
        SETTINGS, [name, "PATH", "NURSERY_ADDRESS", "NUR_PORT", "nur_host"]
    )
    assert (unknown.name, unknown.meant) == (name, meant)
    assert name in str(unknown) and (meant or "docs/configuration.md") in str(unknown)


def test_no_known_setting_is_unknown() -> None:
    known = [f"NUR_{name.upper()}" for name in Settings.model_fields]
    assert unknown_settings(SETTINGS, [*known, "NUR_API_KEY", "NUR_BASE_URL"]) == []


def test_the_environment_and_the_file_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUR_HOSTT", "::1")
    (tmp_path / ".env").write_text("NUR_MAX_SESSION=3\nPOSTGRES_USER=nur\n")
    names = {unknown.name for unknown in unknown_settings(SETTINGS)}
    assert {"NUR_HOSTT", "NUR_MAX_SESSION"} <= names and "POSTGRES_USER" not in names
