"""What every test needs."""

import asyncio

from hypothesis import settings

# looptime asks for the current event loop before a synchronous test too, which would make one that
# nobody closes. Saying that there is none makes it ask in vain.
asyncio.set_event_loop(None)

settings.register_profile("nur", deadline=None)
settings.load_profile("nur")
