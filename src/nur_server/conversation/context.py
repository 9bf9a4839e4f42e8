"""What the parts of one conversation share: settings, time, memory, and the actions asked for."""

from nur_server.conversation.actions import Action, CommitTurn, Notify, SetDeadline
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.deadlines import Deadlines, Timer
from nur_server.conversation.history import History
from nur_server.conversation.notices import Notice
from nur_server.conversation.record import Turn
from nur_server.conversation.tools import ToolJournal


class Context:
    """One per conversation. Its parts change nothing of each other but through methods."""

    def __init__(self, config: ConversationConfig) -> None:
        self.config = config
        self.now = 0.0
        """Seconds since the session began."""
        self.is_connected = True
        """Whether somebody hears what is played."""
        self.history = History()
        self.journal = ToolJournal()
        self.deadlines = Deadlines()
        self._actions: list[Action] = []
        self._deadline: float | None = None
        self._made_ids = 0
        self._committed = 0

    @property
    def now_ms(self) -> int:
        return round(self.now * 1000)

    @property
    def next_index(self) -> int:
        """The index of the next turn to be committed."""
        return self._committed

    def do(self, *actions: Action) -> None:
        self._actions.extend(actions)

    def notify(self, notice: Notice) -> None:
        self.do(Notify(notice))

    def commit(self, turn: Turn) -> None:
        """Store a turn: a new one with `next_index`, or one that was committed before."""
        if turn.index == self._committed:
            self._committed += 1
        self.do(CommitTurn(turn))

    def new_id(self, prefix: str) -> str:
        """Unique within the server, the same in every replay."""
        self._made_ids += 1
        return f"{prefix}_{self.config.session_id[-12:]}_{self._made_ids}"

    def stop_silence_timers(self) -> None:
        self.deadlines.clear(Timer.REPROMPT)
        self.deadlines.clear(Timer.SILENCE)

    def wake_up(self) -> None:
        """The wake-up that was asked for has come, maybe a little early: ask for the next."""
        self._deadline = None

    def take_actions(self) -> list[Action]:
        """Everything asked for since the last call, and the deadline where it has changed."""
        earliest = self.deadlines.earliest()
        if earliest != self._deadline:
            self._deadline = earliest
            self.do(SetDeadline(earliest))
        actions, self._actions = self._actions, []
        return actions
