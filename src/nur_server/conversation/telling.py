"""What is told of a response as it is heard, and what is kept of it once it is over."""

from collections.abc import Sequence
from dataclasses import replace

from nur_server.conversation.context import Context
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyCorrected,
    ReplyDone,
    ReplyError,
    ReplyStatus,
)
from nur_server.conversation.record import Speaker, Turn
from nur_server.conversation.response import HeardWord, Response, Trigger
from nur_server.conversation.tool_calls import ToolCalls


class Telling:
    """Tells the client, the history and the record of responses: the same words to each.

    A filler is an item and a turn of its own, within the reply that it stands for.
    """

    def __init__(self, context: Context, calls: ToolCalls) -> None:
        self._context = context
        self._calls = calls
        self._last: tuple[Response, Turn] | None = None
        """The last response with words that is over: its client may correct what was heard."""

    def words(self, response: Response, words: Sequence[HeardWord]) -> None:
        """These words were heard."""
        fillers = response.filler_share(len(words))
        self._delta(response, response.filler_item_id, words[:fillers])
        if fillers and response.is_filler_heard:
            self._close_filler(response, was_cut=False)
        self._delta(response, response.item_id, words[fillers:])

    def _delta(self, response: Response, item_id: str, words: Sequence[HeardWord]) -> None:
        if not words:
            return
        speaks = response.speaks
        self._context.notify(
            AgentTranscriptDelta(
                response.id,
                item_id,
                "".join(word.text for word in words),
                words[0].start_ms if speaks else None,
                words[-1].end_ms if speaks else None,
            )
        )

    def error(self, response: Response, message: str, *, retryable: bool = True) -> None:
        """Its `error_code` holds from here on; `message` says it in our words."""
        code = response.error_code or "internal_error"
        self._context.notify(ReplyError(response.id, code, message, retryable))

    def over(self, response: Response, status: ReplyStatus) -> None:
        """The response is over, be it said to its end or cut."""
        context = self._context
        was_cut = bool(response.cut_reason)
        if response.filler_text:
            self._close_filler(response, was_cut=was_cut)
        text = response.heard_text
        if text:
            context.notify(
                AgentTranscript(response.id, response.item_id, text, interrupted=was_cut)
            )
        reason = response.cut_reason
        if not reason and status is not ReplyStatus.COMPLETED:
            reason = response.error_code or ""
        context.notify(
            ReplyDone(
                response.id,
                status,
                reason or None,
                response.cut_evidence,
                response.prompt_tokens,
                response.completion_tokens,
            )
        )
        if response.call_ids or (response.wish.is_kept and not response.is_taken_back):
            self._remember(response, text, was_cut=was_cut, call_ids=tuple(response.call_ids))
        if text or response.call_ids or response.error_code:
            turn = self._turn(response, text, was_cut)
            if response.call_ids:
                self._calls.remember(response.id, turn)
            if text:
                self._last = (response, turn)
            context.commit(turn)

    def truncation(self, response: Response, played_ms: int) -> bool:
        """The client has played no more than this. Whether words are taken back."""
        if not response.truncate(played_ms):
            return False
        text = response.heard_text
        self._context.notify(ReplyCorrected(response.id, response.item_id, text, played_ms))
        return True

    def correct(self, item_id: str, played_ms: int) -> None:
        """The same of the last reply that is over; of any other nothing is changed."""
        if self._last is None or self._last[0].item_id != item_id:
            return
        response, turn = self._last
        if not self.truncation(response, played_ms):
            return
        self._context.history.correct_agent(response.heard_text, item_id)
        turn = replace(
            turn,
            text=response.heard_text,
            unheard=response.unheard_text,
            end_reason="truncated",
            interrupted_at_ms=turn.started_ms + played_ms,
            tool_calls=self._context.journal.records(response.call_ids),
        )
        self._last = (response, turn)
        if response.call_ids:
            self._calls.remember(response.id, turn)
        self._context.commit(turn)

    def _close_filler(self, response: Response, *, was_cut: bool) -> None:
        text, response.filler_text = response.filler_text, ""
        item_id = response.filler_item_id
        self._context.notify(AgentTranscript(response.id, item_id, text, interrupted=was_cut))
        if response.wish.is_kept:
            self._remember(response, text, was_cut=was_cut, call_ids=(), item_id=item_id)
        self._context.commit(
            Turn(
                index=self._context.next_index,
                item_id=item_id,
                speaker=Speaker.AGENT,
                text=text,
                started_ms=self._started_ms(response),
                ended_ms=max(self._started_ms(response), self._context.now_ms),
                trigger=Trigger.FILLER.value,
                interrupted_at_ms=self._context.now_ms if was_cut else None,
                end_reason=response.cut_reason or "completed",
                latency_ms=self._latency_ms(response),
            )
        )
        response.answers_speech_end = None

    def _remember(
        self,
        response: Response,
        text: str,
        *,
        was_cut: bool,
        call_ids: tuple[str, ...],
        item_id: str | None = None,
    ) -> None:
        self._context.history.agent_said(
            text,
            was_cut=was_cut,
            call_ids=call_ids,
            began_ms=round(response.created_at * 1000),
            item_id=item_id or response.item_id,
        )

    def _turn(self, response: Response, text: str, was_cut: bool) -> Turn:
        context = self._context
        started_ms = self._started_ms(response)
        return Turn(
            index=context.next_index,
            item_id=response.item_id,
            speaker=Speaker.AGENT,
            text=text,
            started_ms=started_ms,
            ended_ms=max(started_ms, context.now_ms),
            trigger=response.trigger.value,
            interrupted_at_ms=context.now_ms if was_cut else None,
            unheard=response.unheard_text if was_cut else "",
            end_reason=response.cut_reason or ("failed" if response.is_failed else "completed"),
            evidence=dict(response.cut_evidence),
            latency_ms=self._latency_ms(response),
            tool_calls=context.journal.records(response.call_ids),
            error_code=response.error_code,
        )

    def _started_ms(self, response: Response) -> int:
        first = response.first_audio_at
        return round((response.created_at if first is None else first) * 1000)

    def _latency_ms(self, response: Response) -> int | None:
        """From the end of the speech that it answers to its first audio."""
        first, answers = response.first_audio_at, response.answers_speech_end
        return None if first is None or answers is None else max(0, round((first - answers) * 1000))
