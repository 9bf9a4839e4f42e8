"""Create a voice agent and start a session: needs a running server and `NUR_API_KEY`.

NUR_API_KEY=nur_… python examples/quickstart.py
"""

# ruff: noqa: T201  what an example prints is the point of it

from nur import NurClient

client = NurClient()

# Create a voice agent
agent = client.agents.create(
    name="Customer Support",
    voice_id="rachel_v2",
    system_prompt="You are a friendly customer support agent for an e-commerce store.",
    language="en",
    tools=[
        {
            "name": "lookup_order",
            "description": "Look up order status by ID",
            "parameters": {"order_id": {"type": "string", "required": True}},
        }
    ],
)

# Start a session
session = client.agents.sessions.create(
    agent_id=agent.id, initial_message="Hello! How can I help you today?"
)

print(f"Agent: {agent.id}")
print(f"WebSocket: {session.websocket_url}")
