"""A real Chromium that a test drives, with a microphone that plays a WAV file."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nur_server.api.routes import web

PAGE = Path(__file__).parent / "page"
MODULES = Path(os.environ.get("NUR_TEST_NODE_MODULES", PAGE / "node_modules"))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NODE = shutil.which("node")
COMMAND_SECONDS = 60.0

needs_pages = pytest.mark.skipif(
    not web.has_pages(), reason="needs the pages: npm ci --prefix web && npm run build --prefix web"
)
needs_chromium = pytest.mark.skipif(
    not (web.has_pages() and NODE and CHROMIUM and (MODULES / "playwright-core").is_dir()),
    reason="needs the pages (npm ci --prefix web && npm run build --prefix web), Chromium "
    "(apt-get install chromium), and npm install --prefix tests/web/page",
)


class Tab:
    """A page in a browser of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, code: str, given: Any = None) -> Any:
        """What the body of a function says that is given Playwright's `page`."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"code": code, "given": given}).encode() + b"\n")
        async with asyncio.timeout(COMMAND_SECONDS):
            answer = json.loads(await self._process.stdout.readline())
        assert "error" not in answer, f"{answer['error']}\n" + "\n".join(answer["log"])
        return answer["result"]

    async def go(self, path: str) -> None:
        await self.run("await page.goto(given)", path)

    async def sees(self, text: str) -> None:
        """Wait until the text is shown."""
        await self.run("await page.getByText(given).first().waitFor()", text)

    async def click(self, name: str, role: str = "button") -> None:
        await self.run(
            "await page.getByRole(given[0], { name: given[1] }).first().click()", [role, name]
        )

    async def fill(self, label: str, text: str) -> None:
        await self.run("await page.getByLabel(given[0]).first().fill(given[1])", [label, text])

    async def errors(self) -> list[str]:
        """What the page has complained of since the last look."""
        found: list[str] = await self.run("return log.splice(0)")
        return [line for line in found if line.startswith(("error", "pageerror"))]

    async def audit(self) -> list[str]:
        """The serious findings of axe."""
        found: list[str] = await self.run("return audit()")
        return found


@asynccontextmanager
async def chromium(
    address: str,
    *,
    wav: Path | None = None,
    microphone: str = "allowed",
    size: tuple[int, int] = (1280, 900),
    dark: bool = False,
) -> AsyncIterator[Tab]:
    """`microphone`: `allowed` or `denied`; `wav`: what it hears, once."""
    script = PAGE / "drive.mjs"
    if not (PAGE / "node_modules").is_dir():
        script = MODULES.parent / "drive_web.mjs"
        shutil.copy(PAGE / "drive.mjs", script)
    options = {
        "executablePath": CHROMIUM,
        "origin": f"http://{address}",
        "wav": None if wav is None else str(wav),
        "microphone": microphone,
        "viewport": {"width": size[0], "height": size[1]},
        "colorScheme": "dark" if dark else "light",
    }
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(script), json.dumps(options),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=8_000_000,
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
