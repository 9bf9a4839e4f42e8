"""Conversations in a real Chromium: LiveKit's client as it is published, and a plain page."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nur_server.providers.scripted import Call
from tests.api_realtime.conftest import Serve, Server, eventually
from tests.webrtc.test_plain import LOOKUP, recorded

PAGE = Path(__file__).parent / "page"
MODULES = Path(os.environ.get("NUR_TEST_NODE_MODULES", PAGE / "node_modules"))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    not (NODE and CHROMIUM and (MODULES / "playwright-core").is_dir()),
    reason="needs Chromium (apt-get install chromium), Node, and "
    "npm install --prefix tests/webrtc/page",
)

STORY = " ".join(["Once upon a time there was a very long story."] * 20)


class Tab:
    """A page in a browser of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, script: str, argument: Any = None) -> Any:
        """The value of the JavaScript `script`, a function's body."""
        assert self._process.stdin and self._process.stdout
        line = json.dumps({"name": script, "argument": argument}) + "\n"
        self._process.stdin.write(line.encode())
        async with asyncio.timeout(40):
            answer = json.loads(await self._process.stdout.readline())
        assert "error" not in answer, answer
        return answer["result"]

    async def hears(self, text: str) -> None:
        found = await self.run(
            "return until(() => seen.said.some(([, said]) => said.includes(argument)))", text
        )
        assert found, await self.run("return seen.said")

    async def speak(self, seconds: float) -> None:
        await self.run("return speak(argument)", seconds)


@asynccontextmanager
async def chromium(server: Server) -> AsyncIterator[Tab]:
    script = PAGE / "drive.mjs"
    if not (PAGE / "node_modules").is_dir():
        script = MODULES.parent / "drive.mjs"
        shutil.copy(PAGE / "drive.mjs", script)
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(script), str(CHROMIUM), f"http://{server.address}",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=1_000_000,
    )  # fmt: skip
    try:
        yield Tab(process)
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def start(server: Server, **fields: Any) -> dict[str, Any]:
    agent = await server.make_agent(first_message="Hi there!", **fields)
    return await server.post("/voice/start", agent_id=agent, recording=True)


def replies() -> list[Any]:
    return [
        [Call("lookup_order", {"order_id": "1234"})], "It has shipped.", STORY, "All right.",
        "You typed it.",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"singlePeerConnection": False}], ids=["v1", "v0"])
async def test_a_whole_conversation_with_livekit_client(
    serve: Serve, options: dict[str, Any]
) -> None:
    async with serve(replies=replies()) as server, chromium(server) as tab:
        started = await start(server, tools=[LOOKUP])
        joined = await tab.run("return join(argument)", {**started, "options": options})
        assert joined["kind"] == [["agent", 4]]
        await tab.hears("Hi there!")
        assert await tab.run("return until(() => seen.loudest > 0.05)")
        await tab.speak(0.6)
        await tab.hears("It has shipped.")
        assert await tab.run("return seen.calls") == [{"order_id": "1234"}]
        said = await tab.run("return seen.said")
        assert ["user", "Where is my order?", True] in said
        assert ["user", "Where is my order?", "stream"] in said
        await tab.speak(0.6)
        await tab.hears("Once upon")
        await tab.speak(1.5)
        await tab.hears("All right.")
        await tab.run("return room.localParticipant.sendText('Typed.', { topic: 'lk.chat' })")
        await tab.hears("You typed it.")
        states = await tab.run("return seen.states")
        assert {"listening", "thinking", "speaking"} <= set(states)
        await server.post(f"/voice/end/{started['session_id']}")
        assert await tab.run("return until(() => seen.events.some(([e]) => e === 'Disconnected'))")
        events = [event[:2] for event in await tab.run("return seen.events")]
        assert events[-1] == ["Disconnected", 5]
        await eventually(lambda: len(server.services.media) == 0)
        session = await server.get(f"/v1/sessions/{started['session_id']}")
        assert (session["kind"], session["ended_reason"]) == ("webrtc", "client_ended")
        await recorded(server, started["session_id"])


async def test_a_whole_conversation_on_a_plain_page(serve: Serve) -> None:
    async with serve(replies=replies()) as server, chromium(server) as tab:
        path = await server.make_session(
            await server.make_agent(first_message="Hi there!", tools=[LOOKUP]), recording=True
        )
        _, _, _, session_id, secret = path.split("/")
        status = await tab.run(
            "return joinPlain(argument)", {"session_id": session_id, "secret": secret}
        )
        assert status == 201
        await tab.hears("Hi there!")
        assert await tab.run("return until(() => seen.loudest > 0.05)")
        await tab.speak(0.6)
        await tab.hears("It has shipped.")
        await tab.run("channel.send(JSON.stringify({ type: 'session.end' }))")
        assert await tab.run("return until(() => seen.events.some(([e]) => e === 'session.ended'))")
        await eventually(lambda: len(server.services.media) == 0)
        await recorded(server, session_id)


async def test_the_same_conversation_after_a_lost_socket_and_a_reload(serve: Serve) -> None:
    async with serve(replies=["First.", "Second.", "Third."]) as server, chromium(server) as tab:
        started = await start(server)
        await tab.run("return join(argument)", started)
        await tab.hears("Hi there!")
        await tab.speak(0.6)
        await tab.hears("First.")
        await tab.run("room.engine.client.ws?.close?.(); room.simulateScenario('full-reconnect')")
        assert await tab.run("return until(() => seen.events.some(([e]) => e === 'Reconnected'))")
        await tab.speak(0.6)
        await tab.hears("Second.")
        await tab.run("reload")
        await tab.run("return join(argument)", started)
        await tab.speak(0.6)
        await tab.hears("Third.")
        await server.post(f"/voice/end/{started['session_id']}")
        await eventually(lambda: len(server.services.media) == 0)
        turns = (await server.get(f"/v1/sessions/{started['session_id']}/transcript"))["turns"]
        said = [turn["text"] for turn in turns if turn["speaker"] == "agent"]
        assert said == ["Hi there!", "First.", "Second.", "Third."]


async def test_without_a_microphone_the_user_types(serve: Serve) -> None:
    async with serve(replies=["You typed it."]) as server, chromium(server) as tab:
        started = await start(server)
        await tab.run("return join(argument)", {**started, "typed": True})
        refused = await tab.run(
            "return room.localParticipant.setMicrophoneEnabled(true)"
            ".then(() => null, (error) => error.name)"
        )
        assert refused in ("NotAllowedError", "NotFoundError", "DeviceUnsupportedError")
        await tab.hears("Hi there!")
        await tab.run("return room.localParticipant.sendText('Typed.', { topic: 'lk.chat' })")
        await tab.hears("You typed it.")


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", ""])
async def test_a_bad_token_is_told_in_our_words(serve: Serve, token: str) -> None:
    async with serve() as server, chromium(server) as tab:
        error = await tab.run(
            "return join(argument).then(() => '', (error) => String(error.message))",
            {"livekit_url": f"ws://{server.address}", "token": token or "x"},
        )
        assert "expected a token that this server made for a session" in error
