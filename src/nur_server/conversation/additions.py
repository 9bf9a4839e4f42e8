"""What a client adds to the conversation, and takes out of it, without a word being said."""

from nur_server.conversation.context import Context
from nur_server.conversation.events import ItemRemoved, MessageAdded, Role, ToolCallNoted
from nur_server.conversation.record import Speaker, ToolStatus, Turn

TYPED = "typed"
"""What made the record of a message that the user has typed and that is answered."""
MOST_TYPED = 50
"""Messages that wait for a request to answer them; of more, the latest are recorded."""


class Additions:
    """Changes the history. Messages of the user's are recorded once the client asks for a reply to
    them: those that are only restored from an earlier conversation were not said in this one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unanswered: list[MessageAdded] = []

    def add(self, event: MessageAdded) -> None:
        self._context.history.note(event.role, event.content, event.item_id, event.after)
        if event.role is Role.USER:
            self._unanswered = [*self._unanswered[1 - MOST_TYPED :], event]
        elif event.role is Role.ASSISTANT:
            self._unanswered.clear()

    def note_call(self, event: ToolCallNoted) -> None:
        context = self._context
        response_id = context.new_id("resp")
        call = context.journal.open(
            event.call_id, response_id, event.name, event.arguments, None, context.now_ms
        )
        call_id = call.record.call_id
        context.journal.close(call_id, ToolStatus.SUCCEEDED, event.result, context.now_ms)
        call.is_reported = True
        context.history.note_call(call_id, event.item_id, event.after)

    def remove(self, event: ItemRemoved) -> None:
        self._context.history.remove(event.item_id)
        self._unanswered = [e for e in self._unanswered if e.item_id != event.item_id]

    def record_typed(self) -> None:
        """A reply is asked for: what the user has typed since the last one is what it answers."""
        context, unanswered = self._context, self._unanswered
        self._unanswered = []
        for event in unanswered:
            at_ms = round(event.at * 1000)
            context.commit(
                Turn(
                    index=context.next_index,
                    item_id=event.item_id or context.new_id("msg"),
                    speaker=Speaker.USER,
                    text=event.content,
                    started_ms=at_ms,
                    ended_ms=at_ms,
                    trigger=TYPED,
                    end_reason=TYPED,
                )
            )
