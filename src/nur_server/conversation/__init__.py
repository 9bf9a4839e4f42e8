"""The conversation as a pure state machine: `Conversation.receive(event) -> list[Action]`.

No asyncio, no I/O, no clock: time arrives as `event.at`, in seconds since the session began.
"""
