"""`nur replay`."""

import asyncio
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
from structlog.testing import capture_logs

from nur_server.cli.database import opened
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.journal import VERSION, JournalWriter
from nur_server.replay.recording import Recording, replay
from nur_server.settings import Settings
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.keys import ensure_first_key
from nur_server.store.records import SessionFields
from nur_server.store.sessions import Sessions
from nur_server.store.sink import StoreSink
from nur_server.testing import conversation

from .conftest import Nur

CONFIG = ConversationConfig("", system_prompt="Sell shoes.", greeting="Hello!")


Chunks = Callable[[list[bytes]], list[bytes]]


async def _stored_session(chunks: Chunks) -> str:
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
        for number, chunk in enumerate(chunks(call.memory.journal)):
            await sink.journal_written(session.id, number, chunk)
    return session.id


def stored_session(chunks: Chunks = list) -> str:
    """As above; `chunks` is what is stored of its journal."""
    with capture_logs():
        return asyncio.run(_stored_session(chunks))


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


def test_a_saved_test_holds_the_conversation_and_can_fail(nur: Nur, tmp_path: Path) -> None:
    path = tmp_path / "test_boots.py"
    nur("replay", stored_session(), "--set", "min_silence=900", "--save-test", str(path))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).returncode == 0
    saved = Recording.read([path.with_suffix(".journal").read_bytes()])
    otherwise = JournalWriter(replace(saved.config, greeting="Good evening!"))
    for step in replay(saved).steps:
        otherwise.add(step.event)
        otherwise.answered(step.actions)
    _, chunk = otherwise.take() or (0, b"")
    path.with_suffix(".journal").write_bytes(chunk)
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "save the test again (nur replay --save-test)" in ran.stdout


def test_a_test_that_pytest_would_not_find_is_refused_at_once(nur: Nur) -> None:
    refused = nur("replay", stored_session(), "--save-test", "boots.py")
    assert (refused.code, refused.out) == (1, "")
    assert "expected a name such as test_lost_order.py, got 'boots.py'" in refused.err


def test_a_call_is_found_by_its_id(nur: Nur) -> None:
    session_id = stored_session()
    shown = nur("replay", session_id.replace("ses_", "call_"))
    assert shown.code == 0
    assert shown.out == nur("replay", session_id).out


def test_a_session_that_does_not_exist(nur: Nur, data_dir: Path) -> None:
    stored_session()
    refused = nur("replay", "ses_nowhere")
    assert refused.code == 1
    assert f"in {data_dir}, got 'ses_nowhere'" in refused.err


def test_data_that_do_not_exist_are_not_made(nur: Nur, data_dir: Path) -> None:
    refused = nur("replay", "ses_nowhere")
    assert refused.code == 1
    assert f"expected the data of a server in {data_dir}; there is no database" in refused.err
    assert not data_dir.exists()


def test_a_session_nobody_talked_in_has_no_journal(nur: Nur) -> None:
    refused = nur("replay", stored_session(chunks=lambda journal: []))
    assert refused.code == 1
    assert "has none: it was never talked to" in refused.err


def test_a_session_of_another_version_is_refused(nur: Nur) -> None:
    later = zlib.compress(msgspec.msgpack.encode([[VERSION + 1, {}]]))
    refused = nur("replay", stored_session(chunks=lambda journal: [later]))
    assert refused.code == 1
    assert "another version of the server may have written it" in refused.err
    assert f"expected a journal of version {VERSION}; got {VERSION + 1}" in refused.err
