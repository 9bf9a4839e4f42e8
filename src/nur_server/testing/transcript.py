"""A conversation as a person reads it: what assertions show when they fail."""

from collections.abc import Iterable

from nur_server.conversation.record import Speaker, ToolRecord, Turn


def lines(turns: Iterable[Turn]) -> list[str]:
    """One line for each turn and each tool call, in the order of the turns."""
    shown = []
    for turn in turns:
        shown.append(_line(turn))
        shown += [f"{'':>9} tool   {_call(record)}" for record in turn.tool_calls]
    return shown


def _line(turn: Turn) -> str:
    who = "user" if turn.speaker is Speaker.USER else "agent"
    end = f"{turn.text or '—'}"
    if turn.interrupted_at_ms is not None:
        end += f"  ✂ {turn.end_reason} at {turn.interrupted_at_ms / 1000:.2f} s"
        end += f", unheard: {turn.unheard}" if turn.unheard else ""
    if turn.error_code is not None:
        end += f"  ({turn.error_code})"
    return f"{turn.started_ms / 1000:7.2f} s {who:<6} {end}  [{turn.trigger}]"


def _call(record: ToolRecord) -> str:
    return f"{record.name}({record.arguments}) → {record.status.value}: {record.result}"
