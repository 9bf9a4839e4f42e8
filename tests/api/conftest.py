import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from nur_server.api.app import Telephony, create_app
from nur_server.api.services import Services
from nur_server.clock import Clock
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from tests.databases import lay

# Without this, pytest-asyncio's first look for the current loop makes one that nobody closes.
asyncio.set_event_loop(None)

AGENT = {
    "name": "Customer Support",
    "voice_id": "rachel_v2",
    "system_prompt": "You are a helpful support agent.",
}
LOOKUP = {
    "name": "lookup_order",
    "description": "Look up order status",
    "parameters": {"order_id": {"type": "string", "required": True}},
}


class Server:
    """A running application, and a client that holds its first key."""

    def __init__(self, app: FastAPI, key: str, client: httpx2.AsyncClient) -> None:
        self.app = app
        self.key = key
        self.client = client

    @property
    def services(self) -> Services:
        services = self.app.state.services
        assert isinstance(services, Services)
        return services

    async def call(
        self, method: str, path: str, expected: int = 200, **options: Any
    ) -> dict[str, Any]:
        """The answer's body, after checking its status."""
        answer = await self.client.request(method, path, **options)
        assert answer.status_code == expected, answer.text
        body = answer.json()
        assert isinstance(body, dict)
        return body

    async def refuse(self, method: str, path: str, expected: int, **options: Any) -> dict[str, Any]:
        """The `error` of an answer, after checking that it is one."""
        body = await self.call(method, path, expected, **options)
        error = body["error"]
        assert body["detail"] == error["message"]
        assert set(error) == {"type", "code", "message", "param", "details", "request_id"}
        assert isinstance(error, dict)
        return error

    async def make_agent(self, **fields: Any) -> dict[str, Any]:
        return await self.call("POST", "/v1/agents", 201, json={**AGENT, **fields})

    async def make_session(self, agent_id: str, **fields: Any) -> dict[str, Any]:
        return await self.call("POST", f"/v1/agents/{agent_id}/sessions", 201, json=fields)

    async def make_key(self, *scopes: str) -> dict[str, str]:
        """The header of a new key with these scopes."""
        made = await self.call(
            "POST", "/v1/api-keys", 201, json={"name": "test", "scopes": list(scopes)}
        )
        return {"Authorization": f"Bearer {made['key']}"}


Start = Callable[..., AbstractAsyncContextManager[Server]]


@asynccontextmanager
async def running(
    folder: Path,
    *,
    clock: Clock | None = None,
    catalogue: Catalogue | None = None,
    rate_limits: dict[str, str] | None = None,
    telephony: Telephony | None = None,
    **values: Any,
) -> AsyncIterator[Server]:
    settings = Settings(
        _env_file=None, **{"data_dir": folder, "log_level": "error", "drain_seconds": 0} | values
    )
    found: list[NewKey] = []
    app = create_app(
        settings,
        catalogue=catalogue or Catalogue.scripted(),
        clock=clock,
        rate_limits=rate_limits or {},
        on_first_key=found.append,
        telephony=telephony,
    )
    async with app.router.lifespan_context(app):
        key = found[0].secret
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport,
            base_url="http://nur.test",
            headers={"Authorization": f"Bearer {key}"},
        ) as client:
            yield Server(app, key, client)


@pytest.fixture
def start(tmp_path: Path, prepared_file: Path) -> Start:
    """Starts a server with settings of its own."""

    def begin(**values: Any) -> AbstractAsyncContextManager[Server]:
        lay(prepared_file, tmp_path / "data")
        return running(tmp_path / "data", **values)

    return begin


@pytest.fixture
async def server(start: Start) -> AsyncIterator[Server]:
    async with start() as server:
        yield server
