"""What an agent can do with a phone: end the call, transfer it, press keys and ask for them.

These tools are built in: the conversation runs them itself. Their results follow the same journal
as any other tool's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from nur_server.conversation.actions import SendDigits, TransferCall
from nur_server.conversation.config import ExecutionMode, ToolRunner, ToolSpec
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer

KEY_SECONDS = 4.0
"""Longest pause between two keys of one entry."""
ENTRY_SECONDS = 15.0
"""Longest wait for the first key that was asked for."""
MOST_KEYS = 64


class PhoneTool(StrEnum):
    """The names the model calls them by."""

    END_CALL = "end_call"
    TRANSFER_CALL = "transfer_call"
    SEND_DTMF = "send_dtmf"
    COLLECT_DIGITS = "collect_digits"
    LEAVE_VOICEMAIL = "leave_voicemail"


def phone_tool(name: PhoneTool, transfer_targets: dict[str, str] | None = None) -> ToolSpec:
    """The specification of a built-in tool. `transfer_targets`: the agent's numbers by name."""
    description, properties, required = _SPECS[name]
    if name is PhoneTool.TRANSFER_CALL and transfer_targets:
        target = {"type": "string", "enum": sorted(transfer_targets)}
        properties = {"target": target}
        required = ["target"]
    parameters = {"type": "object", "properties": properties, "required": required}
    mode = ExecutionMode.HOLD if name is PhoneTool.COLLECT_DIGITS else ExecutionMode.INTERACTIVE
    return ToolSpec(
        name.value,
        description,
        parameters,
        execution_mode=mode,
        timeout_seconds=60.0,
        runner=ToolRunner.BUILT_IN,
        targets=dict(transfer_targets or {}),
    )


_SPECS: dict[PhoneTool, tuple[str, dict[str, Any], list[str]]] = {
    PhoneTool.END_CALL: (
        "End the call. Say goodbye first; the call ends after your last word.",
        {"reason": {"type": "string"}},
        [],
    ),
    PhoneTool.TRANSFER_CALL: (
        "Connect the caller to somebody else and leave the call. Tell them so first.",
        {"to_number": {"type": "string", "pattern": r"\+[1-9]\d{6,14}"}},
        ["to_number"],
    ),
    PhoneTool.SEND_DTMF: (
        "Press keys on the phone, for example to go through a menu.",
        {"digits": {"type": "string", "pattern": r"[0-9*#A-Da-dwW]{1,64}"}},
        ["digits"],
    ),
    PhoneTool.COLLECT_DIGITS: (
        "Wait for the caller to enter digits on their keypad. Ask for them first.",
        {
            "max_digits": {"type": "integer", "minimum": 1, "maximum": MOST_KEYS},
            "terminator": {"type": "string", "pattern": r"[0-9*#]?"},
        },
        [],
    ),
    PhoneTool.LEAVE_VOICEMAIL: (
        "Leave a message on the voicemail you have reached, and end the call.",
        {"message": {"type": "string", "minLength": 1}},
        ["message"],
    ),
}


@dataclass(slots=True)
class _Entry:
    """Keys being pressed."""

    call_id: str | None
    """The tool call that asked for them. None: the caller pressed them unasked."""
    max_digits: int = MOST_KEYS
    terminator: str = "#"
    digits: str = ""


class Phone:
    """The keypad and the built-in tools of one conversation."""

    def __init__(
        self,
        context: Context,
        *,
        answer: Callable[[str, str, bool], None],
        leave: Callable[[], None],
        leave_message: Callable[[str], None],
        on_keys: Callable[[str], None],
    ) -> None:
        """`answer(call_id, result, is_error)` gives a tool its result, `leave` ends the call after
        the last word, `leave_message` speaks one first, `on_keys` takes keys nobody asked for.
        """
        self._context = context
        self._answer = answer
        self._leave = leave
        self._leave_message = leave_message
        self._on_keys = on_keys
        self._entry: _Entry | None = None
        self._transfer: TransferCall | None = None
        """It waits for the agent's last word."""

    def run(self, call_id: str, tool: ToolSpec, arguments: dict[str, Any]) -> None:
        """Run a built-in tool whose arguments fit its schema."""
        match PhoneTool(tool.name):
            case PhoneTool.END_CALL:
                self._answer(call_id, "The call ends now.", False)
                self._leave()
            case PhoneTool.TRANSFER_CALL:
                number = tool.targets.get(arguments.get("target", ""))
                to_number = number or arguments.get("to_number", "")
                self._transfer = TransferCall(call_id, to_number)
            case PhoneTool.SEND_DTMF:
                self._context.do(SendDigits(arguments["digits"].upper()))
                self._answer(call_id, "The keys were pressed.", False)
            case PhoneTool.COLLECT_DIGITS:
                self._collect(call_id, arguments)
            case PhoneTool.LEAVE_VOICEMAIL:
                self._answer(call_id, "The message is left, and the call ends.", False)
                self._leave_message(arguments["message"])
            case other:
                assert_never(other)

    @property
    def is_transfer_due(self) -> bool:
        """A transfer waits for the agent's last word."""
        return self._transfer is not None and self._is_running(self._transfer.call_id)

    def transfer(self) -> None:
        """The last word before a transfer was heard."""
        if self._transfer is not None:
            self._context.do(self._transfer)
            self._transfer = None

    def keep_here(self) -> None:
        """The caller has said something before they were transferred."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            self._answer(transfer.call_id, "The caller spoke first; they are still here.", True)

    def take_outcome(self, call_id: str, error: str | None) -> None:
        """A transfer is over; `error` says what went wrong."""
        if error is None:
            self._answer(call_id, "The caller was transferred.", False)
        else:
            self._answer(call_id, f"The transfer failed: {error}", True)

    @property
    def awaits_first_key(self) -> bool:
        """Keys were asked for, and none has come."""
        entry = self._entry
        return entry is not None and entry.call_id is not None and not entry.digits

    def restart_wait(self) -> None:
        """The agent has spoken: the caller's time for the first key counts from here."""
        if self.awaits_first_key:
            self._context.deadlines.set(Timer.DIGITS, self._context.now + ENTRY_SECONDS)

    def press(self, digit: str) -> None:
        """The far end has pressed a key."""
        entry = self._entry
        if entry is None:
            entry = self._entry = _Entry(None)
        if digit == entry.terminator and entry.call_id is not None:
            self.finish_entry()
            return
        entry.digits += digit
        if len(entry.digits) >= entry.max_digits:
            self.finish_entry()
        else:
            self._context.deadlines.set(Timer.DIGITS, self._context.now + KEY_SECONDS)

    def finish_entry(self) -> None:
        """No further key came, or enough have come."""
        entry, self._entry = self._entry, None
        self._context.deadlines.clear(Timer.DIGITS)
        if entry is None:
            return
        if entry.call_id is None or not self._is_running(entry.call_id):
            if entry.digits:
                self._on_keys(entry.digits)
        elif entry.digits:
            self._answer(entry.call_id, f'{{"digits": "{entry.digits}"}}', False)
        else:
            self._answer(entry.call_id, "The caller entered nothing.", True)

    def _is_running(self, call_id: str) -> bool:
        call = self._context.journal.get(call_id)
        return call is not None and call.is_running

    def _collect(self, call_id: str, arguments: dict[str, Any]) -> None:
        self.finish_entry()
        self._entry = _Entry(
            call_id,
            max_digits=arguments.get("max_digits", MOST_KEYS),
            terminator=arguments.get("terminator", "#"),
        )
        self._context.deadlines.set(Timer.DIGITS, self._context.now + ENTRY_SECONDS)
