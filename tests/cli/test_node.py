import asyncio

import pytest

from nur_server.cli import node


async def test_memory_is_given_back_once_when_the_last_session_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "LOOK_SECONDS", 0.0)
    live = ["ses_1", "ses_2"]
    given_back: asyncio.Queue[list[str]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def give_back() -> None:
        loop.call_soon_threadsafe(given_back.put_nowait, list(live))

    watching = asyncio.create_task(node.give_back_after_sessions(live, give_back))
    for _ in range(20):
        await asyncio.sleep(0)
    live.pop()
    for _ in range(20):
        await asyncio.sleep(0)
    assert given_back.empty()

    live.pop()
    assert await given_back.get() == []
    for _ in range(20):
        await asyncio.sleep(0)
    assert given_back.empty()
    watching.cancel()
