"""`nur replay`."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from nur_server.cli.database import opened
from nur_server.conversation.config import ConversationConfig
from nur_server.settings import Settings
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.keys import ensure_first_key
from nur_server.store.records import SessionFields
from nur_server.store.sessions import Sessions
from nur_server.store.sink import StoreSink
from nur_server.testing import conversation

from .conftest import Nur

CONFIG = ConversationConfig("", system_prompt="Sell shoes.", greeting="Hello!")


async def _stored_session() -> str:
    """The id of a session that was held and stored."""
    async with opened(Settings()) as database:
        await ensure_first_key(database)
        sessions = Sessions(database, DEFAULT_ACCOUNT)
        expires_at = database.clock.now() + timedelta(hours=1)
        session = await sessions.create(SessionFields(agent_id=None, expires_at=expires_at))
        await sessions.begin(session.id, "node")
        async with conversation(replace(CONFIG, session_id=session.id), replies=["Yes."]) as call:
            await call.agent_done()
            await call.says("Do you sell boots?")
            await call.agent_done()
            await call.hangs_up()
        sink = StoreSink(database, "node")
        for number, chunk in enumerate(call.memory.journal):
            await sink.journal_written(session.id, number, chunk)
    return session.id


def stored_session() -> str:
    with capture_logs():
        return asyncio.run(_stored_session())


def test_a_session_is_shown_and_found_the_same(nur: Nur) -> None:
    shown = nur("replay", stored_session())
    assert shown.code == 0
    assert "user     said 'Do you sell boots?'" in shown.out
    assert "agent    was heard to say 'Yes.'" in shown.out
    assert "the same as recorded, byte for byte" in shown.out


def test_for_programs(nur: Nur) -> None:
    session_id = stored_session()
    shown = json.loads(nur("replay", session_id, "--json").out)
    assert shown["replay"]["is_equal"] is True
    assert shown["replay"]["session_id"] == session_id
    assert shown["timeline"][0] == {"at": 0.0, "who": "session", "what": "opens"}


def test_with_other_settings_two_timelines_are_shown(nur: Nur) -> None:
    session_id = stored_session()
    shown = nur("replay", session_id, "--set", "min_silence=900")
    assert shown.code == 0
    assert "of silence instead of" in shown.out and "≠" in shown.out
    changes = json.loads(nur("replay", session_id, "--set", "max_turns=1", "--json").out)["changes"]
    assert changes[-1] == "the session ends max_turns instead of client_ended"


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do(nur: Nur) -> None:
    refused = nur("replay", stored_session(), "--set", "loudness=3")
    assert refused.code == 1
    assert "vad_threshold" in refused.err and "loudness=3" in refused.err


def test_a_test_is_saved(nur: Nur, tmp_path: Path) -> None:
    path = tmp_path / "test_boots.py"
    assert nur("replay", stored_session(), "--save-test", str(path)).code == 0
    assert "def test_boots_goes_as_it_went" in path.read_text()
    assert path.with_suffix(".journal").exists()


def test_a_session_that_does_not_exist(nur: Nur) -> None:
    refused = nur("replay", "ses_nowhere")
    assert refused.code == 1
    assert "got 'ses_nowhere'" in refused.err
