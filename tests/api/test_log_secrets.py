"""No line of a log holds a secret, whoever wrote it."""

import json
import logging
from pathlib import Path

import pytest

from nur_server.api import logs
from nur_server.api.log_secrets import without_secrets
from nur_server.settings import Settings

KEY, SECRET = "nur_" + "a1" * 32, "ssk_" + "b2" * 32
RESUME = "rsm_ses_" + "0" * 32 + "." + "c3" * 32
JWT = "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"key {KEY}.", "key nur_[redacted]."),
        (f"Bearer {RESUME}", "Bearer rsm_[redacted]"),
        (f'"GET /v1/ws?token={JWT} HTTP/1.1" 101', '"GET /v1/ws?[redacted] HTTP/1.1" 101'),
        (f"/v1/sessions/ses_1/{SECRET} accepted", "/v1/sessions/ses_1/ssk_[redacted] accepted"),
        ("wss://voice.example/v1/ws?token=x&audio=binary", "wss://voice.example/v1/ws?[redacted]"),
        ("https://x.example/a?sig=1, then", "https://x.example/a?[redacted] then"),
        (f"token {JWT}", "token eyJ[redacted]"),
        ("whsec_" + "QUJD" * 8, "whsec_[redacted]"),
        ("What is it? nur_sessions_started_total", "What is it? nur_sessions_started_total"),
        ("key nur_a1b2c3 of session ses_1 and/or more?", None),
    ],
)
def test_secrets_and_queries_are_taken_out(line: str, expected: str | None) -> None:
    assert without_secrets(line) == (line if expected is None else expected)


@pytest.mark.parametrize("kind", ["json", "console"])
def test_every_line_of_the_log_goes_through_it(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(_env_file=None, data_dir=tmp_path, log_format=kind))
    log = logging.getLogger("uvicorn.error")
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        log.exception('"WebSocket %s" [accepted]', f"/v1/sessions/ses_1/{SECRET}?token={JWT}")
    told = capsys.readouterr().err
    assert "ses_1" in told
    for secret in (KEY, SECRET, JWT):
        assert secret not in told
    if kind == "json":
        json.loads(told)
