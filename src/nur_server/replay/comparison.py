"""Two timelines of one session, side by side."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from nur_server.conversation.record import Speaker, Turn
from nur_server.replay.recording import Replay, Step
from nur_server.replay.timeline import Moment, ended_reason, timeline, turns
from nur_server.replay.world import Variation

SHIFT_MS = 60
"""Turns that begin further apart than this are said to have moved."""
_RESPONSE = re.compile(r" \(#\d+\)\Z")
"""A response's number, which moves with all that was asked before it."""
_BEHIND = re.compile(r"( \([^()]*\))+\Z")
"""Figures and numbers at the end of a line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of two timelines. None: this side has nothing here."""

    left: Moment | None
    right: Moment | None

    @property
    def differs(self) -> bool:
        if self.left is None or self.right is None:
            return True
        return _RESPONSE.sub("", self.left.what) != _RESPONSE.sub("", self.right.what)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A recording beside what would have been."""

    rows: tuple[Row, ...]
    changes: tuple[str, ...]
    """What became of turns, interruptions, replies and the end, in words."""
    is_faithful: bool
    """The recorded world, played with the recorded settings, gives the recorded turns: what
    differs then comes from the settings alone."""
    assumed: tuple[str, ...]


def compare(recorded: Replay, control: Variation, varied: Variation) -> Comparison:
    """`control` is the recording played with its own settings, `varied` with others."""
    left, right = timeline(recorded.steps), timeline(varied.steps)
    return Comparison(
        tuple(_aligned(left, right)),
        tuple(_changes(recorded.steps, varied.steps)),
        _words(recorded.steps) == _words(control.steps),
        varied.assumed,
    )


def _words(steps: Sequence[Step]) -> list[tuple[Speaker, str]]:
    return [(turn.speaker, turn.text) for turn in turns(steps) if turn.text]


def _aligned(left: list[Moment], right: list[Moment]) -> list[Row]:
    matcher = SequenceMatcher(
        None, [(m.who, _gist(m)) for m in left], [(m.who, _gist(m)) for m in right], autojunk=False
    )
    rows: list[Row] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            rows += [Row(one, two) for one, two in zip(left[i1:i2], right[j1:j2], strict=True)]
        else:
            alone = [Row(m, None) for m in left[i1:i2]] + [Row(None, m) for m in right[j1:j2]]
            rows += sorted(alone, key=_time)
    return rows


def _gist(moment: Moment) -> str:
    """What happened, without the figures behind it."""
    return _BEHIND.sub("", moment.what)


def _time(row: Row) -> float:
    moment = row.left or row.right
    return moment.at if moment is not None else 0.0


def _changes(before: Sequence[Step], after: Sequence[Step]) -> list[str]:
    left, right = turns(before), turns(after)
    matcher = SequenceMatcher(None, [_key(t) for t in left], [_key(t) for t in right], False)
    found: list[str] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            for one, two in zip(left[i1:i2], right[j1:j2], strict=True):
                found += _differences(one, two)
        else:
            found += [f"gone: {_line(turn)}" for turn in left[i1:i2]]
            found += [f"new: {_line(turn)}" for turn in right[j1:j2]]
    ends = ended_reason(before), ended_reason(after)
    if ends[0] != ends[1]:
        found.append(f"the session ends {ends[1] or 'later'} instead of {ends[0] or 'later'}")
    return found


def _key(turn: Turn) -> tuple[Speaker, str, bool]:
    return turn.speaker, turn.text, turn.interrupted_at_ms is not None


def _differences(one: Turn, two: Turn) -> list[str]:
    moved = [_moved(one, two, "begins", lambda turn: turn.started_ms)]
    if one.speaker is Speaker.USER:
        silence = (one.evidence.get("silence_ms"), two.evidence.get("silence_ms"))
        if silence[0] != silence[1]:
            moved.append(f"is over after {silence[1]} ms of silence instead of {silence[0]} ms")
    if one.end_reason != two.end_reason:
        moved.append(f"ends for {two.end_reason} instead of {one.end_reason}")
    kept = [what for what in moved if what]
    return [f"{_line(one)}: {', '.join(kept)}"] if kept else []


def _moved(one: Turn, two: Turn, what: str, moment: Callable[[Turn], int]) -> str:
    by_ms = moment(two) - moment(one)
    if abs(by_ms) <= SHIFT_MS:
        return ""
    return f"{what} {abs(by_ms)} ms {'later' if by_ms > 0 else 'earlier'}"


def _line(turn: Turn) -> str:
    cut = ", interrupted" if turn.interrupted_at_ms is not None else ""
    return f"{turn.started_ms / 1000:.2f} s {turn.speaker.value} {turn.text!r}{cut}"
