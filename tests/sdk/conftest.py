"""Fixtures of the SDK's tests."""

import asyncio

# A plugin asks for the current event loop before the first test. With none set, asyncio would make
# one that nobody closes.
asyncio.set_event_loop(None)
