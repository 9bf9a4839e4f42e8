"""From what a client saw to the eight standard measures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import pairwise
from typing import Any

import numpy as np

from bench.scorecard.playing import AFTER_TURN_SECONDS, Seen
from bench.scorecard.scenes import Kind

YIELD_WITHIN_SECONDS = 1.5
"""After the end of an interruption: a later stop is not a yield to it."""
ANSWER_WITHIN_SECONDS = 2.0
"""After something in the agent's silence: a later answer is not one to it."""
LONGEST_HOLD_SECONDS = 1.0
"""A longer silence of the agent counts as a stop, even if it goes on then."""
USUAL_GAP_SECONDS = 0.2
"""Between two pieces of audio of an agent that speaks."""
STEP_SECONDS = 0.02


class Outcome(StrEnum):
    STOPPED = auto()
    WENT_ON = auto()
    """The agent spoke on, or stayed silent: it left alone what was not for it."""
    ANSWERED = auto()
    CUT_OFF = auto()
    """The turn was judged over before it was."""
    UNANSWERED = auto()
    NOT_PLAYED = auto()
    """The scene never got to its point: the agent did not begin to speak before it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one scene."""

    seen: Seen
    outcome: Outcome
    latency_seconds: float | None = None
    """To the agent's answer, or to its silence."""
    held_seconds: float = 0.0
    """How long the agent was silent in an overlap it spoke on through."""
    cut_in: bool = False
    """The agent was heard while the user was in the middle of their turn."""
    reason: str = ""
    """The server's own."""
    transcript: str = ""


def judge(seen: Seen) -> Result:
    """What came out of a scene."""
    if seen.onset is None:
        return Result(seen, Outcome.NOT_PLAYED)
    if seen.scene.kind.is_turn:
        return _turn(seen, seen.onset)
    return _overlap(seen, seen.onset) if seen.scene.kind.is_overlap else _silence(seen, seen.onset)


def _overlap(seen: Seen, onset: float) -> Result:
    if not any(at < onset for at in seen.audio) or seen.first("reply.done"):
        before = seen.first("reply.done")
        if before is None or before[0] < onset:
            return Result(seen, Outcome.NOT_PLAYED)
    done = seen.first("reply.done", onset)
    until = seen.end + YIELD_WITHIN_SECONDS
    if done is not None and done[0] <= until and done[1]["status"] == "interrupted":
        last = max((at for at in seen.audio if at <= done[0]), default=onset)
        reason = str(done[1].get("reason"))
        return Result(
            seen,
            Outcome.STOPPED,
            latency_seconds=max(0.0, last - onset),
            reason=reason,
            transcript=_words(seen, onset),
        )
    held = _longest_gap(seen, onset, until)
    outcome = Outcome.STOPPED if held > LONGEST_HOLD_SECONDS else Outcome.WENT_ON
    aside = next((turn for turn in seen.heard if turn["trigger"] != "speech"), None)
    reason = "held" if outcome is Outcome.STOPPED else (aside or {}).get("end_reason", "")
    return Result(
        seen,
        outcome,
        held_seconds=held,
        reason=str(reason),
        transcript=str((aside or {}).get("text", "")),
    )


def _longest_gap(seen: Seen, begin: float, end: float) -> float:
    """The agent's longest silence between two times, beyond the usual."""
    times = [begin, *(at for at in seen.audio if begin <= at <= end), end]
    gaps = [after - before for before, after in pairwise(times)]
    longest = max(gaps, default=0.0)
    return longest - STEP_SECONDS if longest > USUAL_GAP_SECONDS else 0.0


def _silence(seen: Seen, onset: float) -> Result:
    answer = seen.audio_after(onset)
    words = _words(seen, onset)
    turn = seen.heard[-1] if len(seen.heard) > 1 else {}
    reason = f"{turn.get('trigger', '')} {turn.get('end_reason', '')}".strip()
    if answer is not None and answer <= seen.end + ANSWER_WITHIN_SECONDS:
        return Result(seen, Outcome.ANSWERED, answer - seen.end, reason=reason, transcript=words)
    return Result(seen, Outcome.WENT_ON, reason=reason, transcript=words)


def _turn(seen: Seen, onset: float) -> Result:
    stopped = seen.first("input.speech.stopped", onset)
    answer = seen.audio_after(onset)
    words = _words(seen, onset)
    reason = str(stopped[1].get("reason")) if stopped else ""
    if stopped is not None and stopped[0] < seen.end:
        cut_in = answer is not None and answer < seen.end
        return Result(seen, Outcome.CUT_OFF, cut_in=cut_in, reason=reason, transcript=words)
    if answer is None or answer > seen.end + AFTER_TURN_SECONDS:
        return Result(seen, Outcome.UNANSWERED, reason=reason, transcript=words)
    return Result(seen, Outcome.ANSWERED, answer - seen.end, reason=reason, transcript=words)


def _words(seen: Seen, onset: float) -> str:
    """The user's first words from `onset` on, as far as they were told."""
    final = seen.first("transcript.user", onset)
    if final is not None:
        return str(final[1]["text"])
    told = [event for at, event in seen.events if at >= onset]
    partial = [event["text"] for event in told if event["type"] == "transcript.user.delta"]
    return str(partial[-1]) if partial else ""


# The measures

NOT_FOR_YOU = (Kind.ASIDE, Kind.QUIET_ASIDE, Kind.TURNED, Kind.QUIET_TURNED, Kind.REMARK)


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.count / self.of:.2f} ({self.count}/{self.of})" if self.of else "-"


@dataclass(frozen=True, slots=True)
class Delay:
    """A distribution of delays, in milliseconds."""

    median_ms: int | None
    p90_ms: int | None
    count: int

    def __str__(self) -> str:
        return f"{self.median_ms} / {self.p90_ms} ms" if self.count else "-"


def _delay(seconds: Iterable[float | None]) -> Delay:
    values = [value * 1000 for value in seconds if value is not None]
    if not values:
        return Delay(None, None, 0)
    median, late = np.percentile(values, [50, 90])
    return Delay(round(median), round(late), len(values))


@dataclass(frozen=True, slots=True)
class Measures:
    """The scorecard of a number of scenes."""

    response_latency: Delay
    """From the end of a finished turn to the first agent audio."""
    response_rate: Share
    yield_latency: Delay
    """From the onset of an interruption to the last agent audio."""
    yield_rate: Share
    cut_ins: Share
    """Turns in which the agent spoke while the user was in the middle of it."""
    backchannel_selectivity: Share
    tic_selectivity: Share
    quiet_tic_selectivity: Share
    """Those in the agent's silence, of `tic_selectivity`."""
    not_for_you_selectivity: Share
    """Asides, the user turned away and remarks, over the agent's speech and in its silence."""
    aside_selectivity: Share
    quiet_aside_selectivity: Share
    turned_selectivity: Share
    quiet_turned_selectivity: Share
    remark_selectivity: Share
    false_cut_offs: Share
    """Mid-thought pauses at which the turn was taken to be over."""
    held: Delay
    """The agent's silence where it was interrupted by mistake and went on."""
    not_played: Share


def measure(results: Sequence[Result]) -> Measures:
    """The measures over some scenes."""
    played = [result for result in results if result.outcome is not Outcome.NOT_PLAYED]

    def of(*kinds: Kind) -> list[Result]:
        return [result for result in played if result.seen.scene.kind in kinds]

    def share(chosen: Sequence[Result], *outcomes: Outcome) -> Share:
        return Share(sum(result.outcome in outcomes for result in chosen), len(chosen))

    answers, pauses, interruptions = of(Kind.ANSWER), of(Kind.PAUSE), of(Kind.INTERRUPTION)
    turns = answers + pauses
    went_on = [result for result in played if result.held_seconds > 0]
    return Measures(
        response_latency=_delay(result.latency_seconds for result in answers),
        response_rate=share(answers, Outcome.ANSWERED, Outcome.CUT_OFF),
        yield_latency=_delay(result.latency_seconds for result in interruptions),
        yield_rate=share(interruptions, Outcome.STOPPED),
        cut_ins=Share(sum(result.cut_in for result in turns), len(turns)),
        backchannel_selectivity=share(of(Kind.BACKCHANNEL), Outcome.WENT_ON),
        tic_selectivity=share(of(Kind.TIC, Kind.QUIET_TIC), Outcome.WENT_ON),
        quiet_tic_selectivity=share(of(Kind.QUIET_TIC), Outcome.WENT_ON),
        not_for_you_selectivity=share(of(*NOT_FOR_YOU), Outcome.WENT_ON),
        aside_selectivity=share(of(Kind.ASIDE), Outcome.WENT_ON),
        quiet_aside_selectivity=share(of(Kind.QUIET_ASIDE), Outcome.WENT_ON),
        turned_selectivity=share(of(Kind.TURNED), Outcome.WENT_ON),
        quiet_turned_selectivity=share(of(Kind.QUIET_TURNED), Outcome.WENT_ON),
        remark_selectivity=share(of(Kind.REMARK), Outcome.WENT_ON),
        false_cut_offs=share(pauses, Outcome.CUT_OFF),
        held=_delay(result.held_seconds for result in went_on),
        not_played=Share(len(results) - len(played), len(results)),
    )


def raw(result: Result) -> dict[str, Any]:
    """Everything about a scene, for looking into a failure."""
    seen = result.seen
    scene = seen.scene
    return {
        "scene": scene.name,
        "kind": scene.kind.value,
        "set": scene.part,
        "condition": seen.condition.value,
        "noise": scene.noise if seen.condition.snr_db is not None else None,
        "text": scene.text,
        "voice": scene.voice,
        "session_id": seen.session_id,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "transcript": result.transcript,
        "latency_seconds": _rounded(result.latency_seconds),
        "held_seconds": _rounded(result.held_seconds),
        "cut_in": result.cut_in,
        "onset": _rounded(seen.onset),
        "end": _rounded(seen.end),
        "pause": seen.pause,
        "heard": seen.heard,
        "events": [
            [round(at, 3), event]
            for at, event in seen.events
            if event["type"] not in ("transcript.agent.delta", "session.ready")
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
