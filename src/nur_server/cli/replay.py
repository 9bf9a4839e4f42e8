"""`nur replay`: what happened in a session, and what would have with other settings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nur_server.api.recordings import as_session_id
from nur_server.cli import database, screen, serving
from nur_server.cli.failures import Failure
from nur_server.replay import saved
from nur_server.replay.comparison import Comparison, compare
from nur_server.replay.recording import Recording, Replay, Verdict, replay
from nur_server.replay.settings import apply, parse
from nur_server.replay.timeline import Moment, timeline
from nur_server.replay.world import vary
from nur_server.settings import Settings
from nur_server.store.journals import Journals
from nur_server.store.sessions import find_session

NARROW, WIDE = 38, 78
"""Fewest columns of one side of a comparison, and those of one that goes into a file or a pipe."""


def run(
    settings: Settings,
    session_id: str,
    *,
    changes: Sequence[str] = (),
    save_test: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print the timeline, or two of them; 1 where the actions are not what they were."""
    given = parse(changes)
    if save_test is not None:
        saved.name_of(save_test)
    found = replay(_read(settings, session_id))
    config, steps = apply(found.recording.config, given), found.steps
    if given:
        varied = vary(found, given)
        steps = varied.steps
        _show_comparison(compare(found, vary(found, {}), varied), as_json=as_json)
    else:
        _show(found, as_json=as_json)
    if save_test is not None:
        journal = saved.save(save_test, config, steps)
        screen.warn(f"{save_test} replays {journal}, which holds what was said")
    return 1 if found.verdict is Verdict.DIFFERENT or found.failure else 0


def _read(settings: Settings, session_id: str) -> Recording:
    chunks = serving.run(_chunks(settings, session_id))
    if not chunks:
        raise Failure(
            f"expected a session with a journal; {session_id} has none: it was never talked to, or "
            "its server was killed in its first half minute"
        )
    try:
        return Recording.read(chunks)
    except ValueError as error:
        raise Failure(
            f"the journal of {session_id} cannot be read, another version of the server may have "
            f"written it: {error}"
        ) from error


async def _chunks(settings: Settings, session_id: str) -> list[bytes]:
    if not database.exists(settings):
        raise Failure(
            f"expected the data of a server in {settings.data_dir}; there is no database. Say "
            "where it is with --data-dir, NUR_DATA_DIR or NUR_DATABASE_URL"
        )
    async with database.opened(settings) as opened:
        session = await find_session(opened, as_session_id(session_id))
        if session is None:
            where = "the database" if settings.database_url else str(settings.data_dir)
            raise Failure(
                f"expected the id of a session or call in {where}, got {session_id!r}: "
                "GET /v1/sessions lists them"
            )
        return [chunk async for chunk in Journals(opened, session.account_id).read(session.id)]


# One timeline


def _show(found: Replay, *, as_json: bool) -> None:
    moments = timeline(found.steps)
    if as_json:
        _print_json({"replay": _facts(found), "timeline": [_moment(m) for m in moments]})
        return
    for moment in moments:
        screen.say(f"{moment.at:9.3f}  {moment.who:<8} {moment.what}")
    screen.say()
    screen.say(_judgement(found), "green" if found.is_equal else "yellow")


def _judgement(found: Replay) -> str:
    counts = f"{found.events} events, {found.actions} actions"
    if found.failure is not None:
        return f"after {counts} the core failed: {found.failure}"
    match found.verdict:
        case Verdict.EQUAL:
            return f"{counts}: the same as recorded, byte for byte (sha256 {found.digest[:16]}…)"
        case Verdict.DIFFERENT:
            return (
                f"{counts}: other actions than recorded, from event {found.differs_after} on or "
                "later; another version of the server recorded it"
            )
        case Verdict.INCOMPLETE:
            return f"{counts}: events are missing from the journal, so nothing can be compared"
        case Verdict.UNSEALED:
            return f"{counts}: the journal holds no digest to compare with"


def _facts(found: Replay) -> dict[str, Any]:
    return {
        "session_id": found.recording.config.session_id,
        "verdict": found.verdict.value,
        "is_equal": found.is_equal,
        "events": found.events,
        "actions": found.actions,
        "digest": found.digest,
        "differs_after": found.differs_after,
        "failure": found.failure,
    }


# Two timelines


def _show_comparison(result: Comparison, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"recorded": _moment(r.left), "changed": _moment(r.right), "differs": r.differs}
            for r in result.rows
        ]
        _print_json(
            {
                "changes": result.changes,
                "is_faithful": result.is_faithful,
                "assumed": result.assumed,
                "timeline": rows,
            }
        )
        return
    width = max(NARROW, (screen.out.width - 3) // 2) if screen.out.is_terminal else WIDE
    screen.say(f"{'recorded':<{width}} | with the settings changed", "bold")
    for row in result.rows:
        left, right = _side(row.left, width), _side(row.right, width)
        line = f"{left:<{width}} {'|' if not row.differs else '≠'} {right}"
        screen.say(line.rstrip(), "yellow" if row.differs else "")
    screen.say()
    for change in result.changes or ("nothing changes",):
        screen.say(change, "bold")
    for assumed in result.assumed:
        screen.warn(f"assumed at {assumed}")
    if not result.is_faithful:
        screen.warn(
            "played with its own settings this session does not go quite as recorded, so some of "
            "the differences come from the playing"
        )


def _side(moment: Moment | None, width: int) -> str:
    if moment is None:
        return ""
    line = f"{moment.at:8.3f} {moment.who:<7} {moment.what}"
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _moment(moment: Moment | None) -> dict[str, Any] | None:
    return None if moment is None else {"at": moment.at, "who": moment.who, "what": moment.what}


def _print_json(value: Any) -> None:
    screen.say(json.dumps(value, ensure_ascii=False, indent=2))
