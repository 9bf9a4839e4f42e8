"""Prints the scorecard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.scorecard.measures import Delay, Measures, Result, Share, measure
from bench.scorecard.scenes import Condition


def _at_most(delay: Delay, limit: int) -> bool | None:
    return None if delay.median_ms is None else delay.median_ms <= limit


def _at_least(share: Share, limit: float) -> bool | None:
    return None if share.value is None else share.value >= limit


def _no_more(share: Share, limit: float) -> bool | None:
    return None if share.value is None else share.value <= limit


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    label: str
    figure: Callable[[Measures], Delay | Share]
    goal: str = ""
    is_met: Callable[[Measures], bool | None] = lambda _: None
    """None: there is no goal, or nothing was played that it is about."""


ROWS = (
    Row(
        "response latency",
        lambda m: m.response_latency,
        "median ≤ 600 ms",
        lambda m: _at_most(m.response_latency, 600),
    ),
    Row("response rate", lambda m: m.response_rate),
    Row("yield latency", lambda m: m.yield_latency),
    Row("yield rate", lambda m: m.yield_rate, "≥ 0.95", lambda m: _at_least(m.yield_rate, 0.95)),
    Row(
        "cut-ins per user turn", lambda m: m.cut_ins, "≤ 0.05", lambda m: _no_more(m.cut_ins, 0.05)
    ),
    Row(
        "selectivity, backchannels",
        lambda m: m.backchannel_selectivity,
        "≥ 0.90",
        lambda m: _at_least(m.backchannel_selectivity, 0.9),
    ),
    Row(
        "selectivity, vocal tics",
        lambda m: m.tic_selectivity,
        "≥ 0.80",
        lambda m: _at_least(m.tic_selectivity, 0.8),
    ),
    Row("  in silence", lambda m: m.quiet_tic_selectivity),
    Row(
        "selectivity, not for you",
        lambda m: m.not_for_you_selectivity,
        "≥ 0.80",
        lambda m: _at_least(m.not_for_you_selectivity, 0.8),
    ),
    Row("  somebody further away", lambda m: m.aside_selectivity),
    Row("    in silence", lambda m: m.quiet_aside_selectivity),
    Row("  the user turned away", lambda m: m.turned_selectivity),
    Row("    in silence", lambda m: m.quiet_turned_selectivity),
    Row("  the user, straight on", lambda m: m.remark_selectivity),
    Row(
        "false cut-offs at pauses",
        lambda m: m.false_cut_offs,
        "≤ 0.15",
        lambda m: _no_more(m.false_cut_offs, 0.15),
    ),
    Row("held by mistake", lambda m: m.held),
    Row("not played", lambda m: m.not_played),
)


def show(results: Sequence[Result]) -> None:
    """A table for every set of scenes, and for all of them: a column for each condition."""
    parts = dict.fromkeys(result.seen.scene.part for result in results)
    for part in parts:
        _show_part(part, [result for result in results if result.seen.scene.part == part])
    if len(parts) > 1:
        _show_part("together", results)


def _show_part(part: str, results: Sequence[Result]) -> None:
    columns = {
        condition.value: [result for result in results if result.seen.condition is condition]
        for condition in Condition
    }
    measured = {name: measure(chosen) for name, chosen in columns.items() if chosen}
    measured["all"] = measure(results)
    print(f"\n{part}: {len(results)} scenes played\n")
    print(f"{'':27}" + "".join(f"{name:>18}" for name in measured) + "   goal")
    for row in ROWS:
        cells = "".join(f"{row.figure(measures)!s:>18}" for measures in measured.values())
        is_met = row.is_met(measured["all"])
        verdict = "" if is_met is None else f"   {row.goal}: {'met' if is_met else 'MISSED'}"
        print(f"{row.label:27}{cells}{verdict}")
