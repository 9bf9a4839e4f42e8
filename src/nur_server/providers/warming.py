"""Has language models loaded before somebody waits for them.

Ollama and its kin load a model at the first question, which takes up to minutes, drop it after a
while without one, and stop loading when whoever asked gives up. So a model is asked for one token
when the server starts and when a session opens, and that question is not given up.
"""

import asyncio
from contextlib import aclosing

import structlog

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.events import Role
from nur_server.errors import NurError
from nur_server.ports import LanguageModel, ReplyRequest

log = structlog.get_logger()

LOADING_SECONDS = 300.0
"""Longest wait for a model to load: tens of gigabytes from a slow disk."""
WARM_SECONDS = 60.0
"""So long after it has answered a model is taken to be loaded. Ollama keeps one for five
minutes."""
QUESTION = ReplyRequest(
    (ModelMessage(Role.USER, "Hi"),), max_tokens=1, patience_seconds=LOADING_SECONDS
)


class Warmth:
    """Asks models for one token, each at most once at a time. For one event loop."""

    def __init__(self) -> None:
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._warm_until: dict[str, float] = {}

    def warm(self, model: LanguageModel) -> None:
        """See that `model` is loaded. Returns at once; a failure is logged."""
        name = model.name
        if not model.capabilities.loads_at_first_question or name in self._asking:
            return
        if asyncio.get_running_loop().time() < self._warm_until.get(name, 0.0):
            return
        task = asyncio.create_task(self._ask(model), name=f"warm {name}")
        self._asking[name] = task
        task.add_done_callback(lambda _: self._asking.pop(name, None))

    async def _ask(self, model: LanguageModel) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(LOADING_SECONDS), aclosing(model.reply(QUESTION)) as parts:
                async for _ in parts:
                    pass
            self._warm_until[model.name] = now() + WARM_SECONDS
        except (NurError, TimeoutError) as error:
            code = error.code if isinstance(error, NurError) else "provider_timeout"
            log.warning("language model could not be loaded", llm=model.name, code=code)
        except Exception:
            log.exception("warming.crashed", llm=model.name)

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
