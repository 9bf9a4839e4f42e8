"""The page to talk on, in a real Chromium whose microphone plays a WAV file."""

from pathlib import Path
from typing import Any

import numpy as np

from nur_server.audio.wav import WavWriter
from tests.api_realtime.conftest import Serve, Server, tone
from tests.web.chromium import Tab, chromium, needs_chromium

pytestmark = needs_chromium

RATE = 24_000
STORY = " ".join(["Once upon a time there was a very long story."] * 30)


def recording(path: Path, *speech: tuple[float, float]) -> Path:
    """A WAV file: so many seconds of silence, then of speech, and so on; silence at the end."""
    with WavWriter(path, RATE) as writer:
        for silence, seconds in speech:
            writer.write(np.zeros(int(RATE * silence), np.int16))
            writer.write(tone(seconds))
        writer.write(np.zeros(RATE * 30, np.int16))
    return path


async def sign_in(server: Server, tab: Tab, place: str = "/") -> None:
    link = await server.post("/v1/sign-in-links", next=place)
    await tab.go(link["url"])


def captions() -> str:
    return "return page.locator('#captions li').allTextContents()"


async def test_a_newcomer_talks_and_interrupts(serve: Serve, tmp_path: Path) -> None:
    wav = recording(tmp_path / "caller.wav", (3, 0.6), (6, 1.5))
    async with (
        serve(replies=[STORY, "All right."]) as server,
        chromium(server.address, wav=wav) as tab,
    ):
        agent = await server.make_agent(first_message="Hi there!", name="Ada")
        await sign_in(server, tab, f"/try/{agent}")
        await tab.sees("Ada")
        assert "#" not in await tab.run("return page.url()")
        await tab.click("Talk")
        await tab.sees("Hi there!")
        await tab.sees("Where is my order?")
        await tab.sees("Once upon a time")
        await tab.sees("All right.")
        said = await tab.run(captions())
        assert any(line.startswith("Once upon") and line.endswith("—") for line in said)
        await tab.click("End")
        await tab.sees("The conversation is over")
        assert await tab.errors() == []
        [session] = (await server.get("/v1/sessions"))["data"]
        assert session["interruptions"] == 1
        turns = (await server.get(f"/v1/sessions/{session['id']}/transcript"))["turns"]
        heard = [turn["text"] for turn in turns if turn["speaker"] == "agent"]
        assert [line.removesuffix(" —") for line in said if not line.startswith("Where")] == heard


async def test_who_types_is_answered(serve: Serve) -> None:
    async with (
        serve(replies=["You typed it."]) as server,
        chromium(server.address, microphone="denied") as tab,
    ):
        agent = await server.make_agent(first_message="Hi there!")
        await sign_in(server, tab, f"/try/{agent}")
        await tab.click("Talk")
        await tab.sees("The microphone was not allowed")
        await tab.sees("Hi there!")
        await tab.fill("Type instead", "Good morning")
        await tab.click("Send")
        await tab.sees("You typed it.")
        assert await tab.run(captions()) == ["Hi there!", "Good morning", "You typed it."]


async def test_a_stranger_is_sent_to_sign_in_and_comes_back(serve: Serve) -> None:
    async with serve() as server, chromium(server.address) as tab:
        agent = await server.make_agent(name="Ada")
        await tab.go(f"/try/{agent}")
        await tab.fill("API key", "nur_wrong")
        await tab.click("Sign in")
        await tab.sees("got one that is unknown")
        await tab.fill("API key", server.key)
        await tab.click("Sign in")
        await tab.sees("Ada")
        assert (await tab.run("return page.url()")).endswith(f"/try/{agent}")
        kept: list[dict[str, Any]] = await tab.run("return context.cookies()")
        assert [(c["name"], c["httpOnly"], c["sameSite"]) for c in kept] == [
            ("nur_session", True, "Strict")
        ]
        assert await tab.run("return page.evaluate(() => localStorage.length)") == 0
