"""A caller played by a language model."""

from contextlib import aclosing

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.events import Role
from nur_server.ports import LanguageModel, ReplyRequest, TextDelta

HANG_UP = "HANG UP"
RULES = f"""You are calling a voice agent. Stay in this role:

{{persona}}

You are told what the agent says. Answer with the words you say next and nothing else: one or two
short sentences, as people speak on the phone. When you have what you called for, or see that you
will not get it, answer {HANG_UP}."""


class SimulatedCaller:
    """Says what a person of that kind would; for `Rehearsal.talks`."""

    def __init__(self, model: LanguageModel, persona: str) -> None:
        self._model = model
        self._messages = [ModelMessage(Role.SYSTEM, RULES.format(persona=persona))]

    async def __call__(self, said: str) -> str | None:
        """What the caller says to what the agent said; None when they hang up.

        Raises what the model raises.
        """
        self._messages.append(ModelMessage(Role.USER, said or "(the agent waits for you to speak)"))
        text = await self._ask()
        self._messages.append(ModelMessage(Role.ASSISTANT, text))
        return None if not text or HANG_UP in text else text

    async def _ask(self) -> str:
        request = ReplyRequest(tuple(self._messages))
        async with aclosing(self._model.reply(request)) as parts:
            said = [part.text async for part in parts if isinstance(part, TextDelta)]
        return "".join(said).strip()
