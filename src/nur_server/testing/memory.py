"""What a session leaves behind, kept in memory."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.ports import CallChange, SessionSummary


@dataclass
class Memory:
    """A `SessionSink` for one session. `write_seconds` is how long each write takes."""

    write_seconds: float = 0.0
    turns: dict[int, Turn] = field(default_factory=dict)
    """By index, as stored last."""
    tools: list[ToolRecord] = field(default_factory=list)
    """Every state of every tool call, in order."""
    journal: list[bytes] = field(default_factory=list)
    started: int = 0
    summary: SessionSummary | None = None
    ended: int = 0

    async def session_started(self, session_id: str, at: datetime | None = None) -> None:
        await self._write()
        self.started += 1

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        await self._write()
        self.turns[turn.index] = turn

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        await self._write()
        self.tools.append(call)

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        await self._write()
        assert chunk == len(self.journal), f"expected chunk {len(self.journal)}, got {chunk}"
        self.journal.append(data)

    async def session_ended(
        self, session_id: str, summary: SessionSummary, at: datetime | None = None
    ) -> None:
        await self._write()
        self.ended += 1
        self.summary = summary

    async def call_changed(self, change: CallChange, at: datetime | None = None) -> None:
        raise NotImplementedError("a rehearsal has no call to keep a record of")

    async def _write(self) -> None:
        if self.write_seconds:
            await asyncio.sleep(self.write_seconds)

    def in_order(self) -> list[Turn]:
        return [turn for _, turn in sorted(self.turns.items())]

    def said_by(self, speaker: Speaker) -> list[str]:
        """The words heard of one side, turn by turn; turns without words are left out."""
        return [t.text for t in self.in_order() if t.speaker is speaker and t.text]

    def calls(self) -> list[ToolRecord]:
        """Each tool call as it was stored last, in the order of the calls."""
        return list({record.call_id: record for record in self.tools}.values())

    def answered_calls(self) -> set[str]:
        """Ids of the calls that have their result."""
        return {r.call_id for r in self.tools if r.status is not ToolStatus.RUNNING}
