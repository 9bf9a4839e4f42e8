"""An agent that looks orders up with a plain function.

    NUR_API_KEY=nur_… python examples/tools.py "Where is my order 1042?"

The question is given as text, so that no microphone is needed.
"""

# ruff: noqa: T201  what an example prints is the point of it

import asyncio
import sys

from nur import AsyncNurClient
from nur.events import AgentTranscript, ReplyDone, ToolCall

ORDERS = {"1042": "shipped yesterday", "1043": "waiting for payment"}

LOOKUP_ORDER = {
    "name": "lookup_order",
    "description": "Look up order status by ID",
    "parameters": {"order_id": {"type": "string", "required": True}},
}


async def lookup_order(order_id: str) -> dict[str, str]:
    """Called with the arguments the agent chose; what it raises is told to the agent."""
    if order_id not in ORDERS:
        raise LookupError(f"there is no order {order_id}")
    return {"order_id": order_id, "status": ORDERS[order_id]}


async def main(question: str) -> None:
    async with AsyncNurClient() as client:
        agent = await client.agents.create(
            name="Order desk",
            voice_id="rachel_v2",
            system_prompt="You tell customers where their orders are. Look every order up.",
            tools=[LOOKUP_ORDER],
        )
        session = await client.agents.sessions.create(agent_id=agent.id)
        tools = {"lookup_order": lookup_order}
        async with client.sessions.connect(session, tools=tools) as live:
            await live.add_message(question)
            await live.reply()
            has_called = False
            async for event in live:
                match event:
                    case ToolCall(name=name, arguments=arguments):
                        has_called = True
                        print(f"tool:  {name}({arguments})")
                    case AgentTranscript(text=text):
                        print(f"agent: {text}")
                    case ReplyDone() if has_called:
                        # The reply that made the call is over; the next one tells its result.
                        has_called = False
                    case ReplyDone():
                        break
                    case _:
                        pass
        await client.agents.delete(agent.id)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Where is my order 1042?"))
