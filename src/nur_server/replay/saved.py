"""Conversations kept as regression tests: a pytest file, and beside it the journal it replays."""

from collections.abc import Sequence
from pathlib import Path

from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.journal import JournalWriter
from nur_server.conversation.record import Turn
from nur_server.errors import InvalidRequest
from nur_server.replay.recording import Recording, Step, Verdict, replay
from nur_server.replay.timeline import turns

SUFFIX = ".journal"
_TEST = '''"""Session {session_id}, as it went when this test was saved."""

from pathlib import Path

from nur_server.replay.saved import assert_unchanged


def test_{name}_goes_as_it_went() -> None:
    assert_unchanged(Path(__file__).with_suffix("{suffix}"))
'''


def save(path: Path, config: ConversationConfig, steps: Sequence[Step]) -> Path:
    """Write a test at `path` that these events lead to these actions; returns the journal's path.

    The journal holds what was said. Raises `InvalidRequest` where pytest would not find `path`.
    """
    name = name_of(path)
    writer = JournalWriter(config)
    for step in steps:
        writer.add(step.event)
        writer.answered(step.actions)
    chunk = writer.take()
    assert chunk is not None, "a new journal has its configuration at least"
    journal = path.with_suffix(SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal.write_bytes(chunk[1])
    path.write_text(_TEST.format(session_id=config.session_id, name=name, suffix=SUFFIX))
    return journal


def name_of(path: Path) -> str:
    """`lost_order` for test_lost_order.py. Raises `InvalidRequest` where pytest would not look."""
    name = path.stem.removeprefix("test_")
    if path.suffix != ".py" or not path.name.startswith("test_") or not name.isidentifier():
        raise InvalidRequest(f"expected a name such as test_lost_order.py, got {path.name!r}")
    return name


def assert_unchanged(journal: Path) -> None:
    """The events of a journal lead to the actions they led to, byte for byte.

    Raises `AssertionError` with the conversation as it goes where they do not.
    """
    again = replay(Recording.read([journal.read_bytes()]))
    if again.verdict is Verdict.EQUAL and again.failure is None:
        return
    why = again.failure or f"the actions are {again.verdict.value}"
    shown = "\n".join(map(_line, turns(again.steps)))
    raise AssertionError(
        f"expected {journal.name} to go as it went when it was saved, but {why}. Where the change "
        f"is meant, save the test again (nur replay --save-test). It goes like this:\n\n{shown}"
    )


def _line(turn: Turn) -> str:
    cut = f" ✂ {turn.end_reason}" if turn.interrupted_at_ms is not None else ""
    return f"{turn.started_ms / 1000:7.2f} s {turn.speaker.value:<6} {turn.text}{cut}"
