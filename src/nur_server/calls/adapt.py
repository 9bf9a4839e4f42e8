"""What a telephone makes of a session's settings."""

from dataclasses import replace

from nur_server.session.setup import CheckTransfer, SessionSetup
from nur_server.store.call_records import CallRecord

SILENT_SECONDS = 60.0
"""A line on which nobody speaks for so long is given up, unless the agent says otherwise."""


def on_the_phone(
    setup: SessionSetup, *, call: CallRecord, check_transfer: CheckTransfer
) -> SessionSetup:
    """`setup` for a phone call: always spoken, within the call's own time, given up when silent."""
    config = setup.conversation
    longest = float(call.max_duration_seconds)
    if config.max_duration_seconds is not None:
        longest = min(longest, config.max_duration_seconds)
    silence = replace(config.silence, end_seconds=config.silence.end_seconds or SILENT_SECONDS)
    spoken = replace(config, speaks=True, max_duration_seconds=longest, silence=silence)
    return replace(setup, conversation=spoken, check_transfer=check_transfer)
