"""What a session leaves behind, as data: a write can wait, and can be kept in a file meanwhile."""

from datetime import datetime
from typing import assert_never

import msgspec

from nur_server.conversation.record import ToolRecord, Turn
from nur_server.ports import CallChange, SessionSink, SessionSummary
from nur_server.text.encoding import encodable


class SessionStarted(msgspec.Struct, frozen=True, tag="started"):
    at: datetime


class TurnFinished(msgspec.Struct, frozen=True, tag="turn"):
    turn: Turn


class ToolChanged(msgspec.Struct, frozen=True, tag="tool"):
    response_id: str
    record: ToolRecord


class JournalWritten(msgspec.Struct, frozen=True, tag="journal"):
    chunk: int
    data: bytes


class SessionEnded(msgspec.Struct, frozen=True, tag="ended"):
    at: datetime
    summary: SessionSummary


class CallChanged(msgspec.Struct, frozen=True, tag="call"):
    at: datetime
    change: CallChange


Write = SessionStarted | TurnFinished | ToolChanged | JournalWritten | SessionEnded | CallChanged
"""A later version reads what an earlier one left in a file: tags stay, and fields that are added
have a default."""

_decoder = msgspec.msgpack.Decoder(Write)


async def perform(sink: SessionSink, session_id: str, write: Write) -> None:
    """Hand a write to the sink. Doing it again, in the same order, changes nothing."""
    match write:
        case SessionStarted(at=at):
            await sink.session_started(session_id, at)
        case TurnFinished(turn=turn):
            await sink.turn_finished(session_id, turn)
        case ToolChanged(response_id=response_id, record=record):
            await sink.tool_changed(session_id, response_id, record)
        case JournalWritten(chunk=chunk, data=data):
            await sink.journal_written(session_id, chunk, data)
        case SessionEnded(at=at, summary=summary):
            await sink.session_ended(session_id, summary, at)
        case CallChanged(at=at, change=change):
            await sink.call_changed(change, at)
        case _:
            assert_never(write)


def encode(write: Write) -> bytes:
    """As MessagePack. Halves of characters become U+FFFD."""
    try:
        return msgspec.msgpack.encode(write)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(encodable(msgspec.to_builtins(write, builtin_types=(bytes,))))


def decode(data: bytes) -> Write:
    """Raises `ValueError` for bytes that are not a write."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected an encoded write; got something else: {error}") from error
