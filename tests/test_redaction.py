import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.redaction import redacted, secrets_of, shown_address
from nur_server.settings import Settings


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://nur:hunter22@db/nur", "postgresql://***@db/nur"),
        ("postgresql://nur:hun@ter/22@db:5432/nur", "postgresql://***@db:5432/nur"),
        ("postgresql://db/nur?user=nur&password=hunter22", "postgresql://db/nur?user=***&password=***"),
        ("postgresql://nur:hunter22@db/nur?sslmode=require", "postgresql://***@db/nur?sslmode=require"),
        ("http://hunter22@models:8000/v1", "http://***@models:8000/v1"),
        ("http://nur:hunter?22@models/v1", "http://***"),
        ("https://models/v1?key=hunter22#hunter22", "https://models/v1?key=***"),
        ("https://models/v1?hunter22", "https://models/v1?***"),
        ("nur:hunter22@models/v1", "***@models/v1"),
        ("postgresql://user:password@host/name", "postgresql://user:password@host/name"),
        ("postgresql://user:password1@host/name", "postgresql://***@host/name"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("sqlite:////var/lib/nur.db", "sqlite:////var/lib/nur.db"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    if "://" in address:
        assert redacted(f"no answer from {address}: bad") == f"no answer from {shown}: bad"


@given(st.from_regex(r"hunter[!-~]{0,20}", fullmatch=True))
def test_no_password_is_shown_however_it_is_written(password: str) -> None:
    assert "hunter" not in shown_address(f"postgresql://nur:{password}@db/nur")
    assert "hunter" not in shown_address(f"http://db/v1?key={password}")


def test_secrets_of_the_settings_are_found_wherever_they_stand() -> None:
    settings = Settings(
        _env_file=None,
        database_url="postgresql://nur:pass%40word@db/nur?sslmode=require",
        llm_url="http://ann:wonderland@models/v1?api_key=opensesame",
        llm_api_key="sk-12345678",
    )
    secrets = secrets_of(settings)
    assert secrets == {"pass%40word", "pass@word", "wonderland", "opensesame", "sk-12345678"}
    text = "pass@word and sk-12345678 are required"
    assert redacted(text, secrets) == "*** and *** are required"
