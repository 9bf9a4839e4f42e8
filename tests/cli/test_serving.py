"""The server's start and stop, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect

from nur import AsyncNurClient, LiveError, Session
from nur.events import SessionEnded
from nur_server.api.app import create_app
from nur_server.api.services import Services
from nur_server.cli.failures import Failure
from nur_server.cli.place import address_of, bind, is_taken
from nur_server.cli.serving import Server
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from nur_server.transports import protocol

AGENT = {"name": "Support", "voice_id": "rachel_v2", "system_prompt": "You help."}
WAIT_SECONDS = 10
OUTPUT_RATE = 48_000


@dataclass
class Running:
    server: Server
    serving: asyncio.Task[None]
    address: str
    client: AsyncNurClient
    key: str

    async def open_session(self) -> Session:
        agent = await self.client.agents.create(**AGENT)  # type: ignore[arg-type]
        return await self.client.agents.sessions.create(agent_id=agent.id)

    @property
    def services(self) -> Services:
        services = self.server.config.app.state.services  # type: ignore[union-attr]
        assert isinstance(services, Services)
        return services

    @property
    def sockets(self) -> list[WebSocketsSansIOProtocol]:
        """The WebSockets it holds open."""
        open_ = self.server.server_state.connections
        return [each for each in open_ if isinstance(each, WebSocketsSansIOProtocol)]

    async def stopped(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await self.serving


@asynccontextmanager
async def running(
    data_dir: Path, catalogue: Catalogue | None = None, **values: object
) -> AsyncIterator[Running]:
    settings = Settings(_env_file=None, data_dir=data_dir, port=0, log_level="error", **values)  # type: ignore[arg-type]
    keys: list[NewKey] = []
    app = create_app(
        settings, catalogue=catalogue or Catalogue.scripted(), on_first_key=keys.append
    )
    with bind(settings) as listener:
        async with app.router.lifespan_context(app), asyncio.TaskGroup() as group:
            server = Server(app, settings)
            serving = group.create_task(server.serve(sockets=[listener]))
            await server.ready.wait()
            address = address_of(listener)
            async with AsyncNurClient(keys[0].secret, address, max_retries=0) as client:
                yield Running(server, serving, address, client, keys[0].secret)
            if not server.asked_to_stop.is_set():
                server.stop()
                server.stop()


async def reason_of(live: object) -> str | None:
    async with asyncio.timeout(WAIT_SECONDS):
        async for event in live:  # type: ignore[attr-defined]
            if isinstance(event, SessionEnded):
                return event.reason
    return None


WHOLE = b"GET /healthz HTTP/1.1\r\nHost: nur.test\r\n\r\n"


@pytest.mark.parametrize("said", [b"", WHOLE[:-2]])
async def test_the_head_of_a_request_is_waited_for_a_while(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with running(data_dir) as here, asyncio.timeout(WAIT_SECONDS):
        reader, writer = await asyncio.open_connection(*peer_of(here))
        writer.write(said)
        assert await reader.read() == b""
        writer.close()


async def test_so_is_that_of_a_later_request(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(data_dir) as here, asyncio.timeout(WAIT_SECONDS):
        reader, writer = await asyncio.open_connection(*peer_of(here))
        for _ in range(2):
            writer.write(WHOLE)
            assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
            await reader.readuntil(b"}")
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
        writer.write(WHOLE[:-2])
        assert await reader.read() == b""
        writer.close()


def peer_of(here: Running) -> tuple[str, int]:
    url = httpx2.URL(here.address)
    assert url.port is not None
    return url.host, url.port


async def test_a_live_call_finishes_normally_while_the_server_stops(data_dir: Path) -> None:
    async with running(data_dir, drain_seconds=WAIT_SECONDS) as here:
        session = await here.open_session()
        later = await here.open_session()
        async with here.client.sessions.connect(session) as live:
            here.server.stop()
            with pytest.raises(LiveError):
                async with here.client.sessions.connect(later):
                    pass
            assert not here.serving.done()
            await live.reply("Say hello.")
            await live.end()
            assert live.ended_reason == "client_ended"
        await here.stopped()


async def test_a_server_that_stops_still_answers(data_dir: Path) -> None:
    async with running(data_dir, drain_seconds=WAIT_SECONDS) as here:
        session = await here.open_session()
        path = f"/v1/agents/{session.agent_id}/sessions"
        async with httpx2.AsyncClient(base_url=here.address) as plain:
            key = {"Authorization": f"Bearer {here.key}"}
            async with connect(session.websocket_url) as cut_off:
                await cut_off.recv()
                here.server.stop()
                assert (await plain.get("/healthz")).status_code == 200
                assert (await plain.get("/readyz")).status_code == 503
                refused = await plain.post(path, json={}, headers=key)
                assert refused.status_code == 503
                assert int(refused.headers["Retry-After"]) > 0
                assert (await plain.get("/v1/sessions", headers=key)).status_code == 200
            # The client that was cut off comes back.
            async with here.client.sessions.connect(session) as live:
                await live.reply("Say hello.")
                await live.end()
                assert live.ended_reason == "client_ended"
        await here.stopped()


async def test_asked_again_the_server_ends_live_calls(data_dir: Path) -> None:
    async with running(data_dir, drain_seconds=600) as here:
        async with here.client.sessions.connect(await here.open_session()) as live:
            here.server.stop()
            here.server.stop()
            assert await reason_of(live) == "server_shutdown"
        await here.stopped()


async def test_a_call_that_outlasts_the_drain_is_ended(data_dir: Path) -> None:
    async with running(data_dir, drain_seconds=0.2) as here:
        async with here.client.sessions.connect(await here.open_session()) as live:
            here.server.stop()
            assert await reason_of(live) == "server_shutdown"
        await here.stopped()


async def test_without_calls_it_stops_at_once_and_frees_its_port(data_dir: Path) -> None:
    async with running(data_dir, drain_seconds=600) as here:
        here.server.stop()
        await here.stopped()
        assert here.server.asked_to_stop.is_set()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{here.address}/healthz")


async def test_a_client_that_never_reads_keeps_no_socket(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.1)
    async with running(data_dir) as here:
        session = await here.open_session()
        url = f"{session.websocket_url}?sample_rate={OUTPUT_RATE}"
        client = await connect(url, max_queue=1, ping_interval=None, close_timeout=0.1)
        await client.recv()
        client.transport.pause_reading()
        live = here.services.live.get(session.id)
        assert live is not None
        second = np.zeros(OUTPUT_RATE, np.int16)
        while live.is_attached:
            # Agent audio comes at the pace of speech: more of it, to fill the system's buffers.
            live._client.play("resp", second, 24_000)
            await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_SECONDS):
            while here.sockets:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        client.transport.abort()
        await client.wait_closed()


async def test_believes_the_headers_of_a_proxy_about_itself(data_dir: Path) -> None:
    headers = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "voice.example.com",
    }
    async with running(data_dir) as here:
        agent = await here.client.agents.create(**AGENT)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(headers=headers) as browser:
            key = (await here.client.keys.create(name="proxied")).key
            answer = await browser.post(
                f"{here.address}/v1/agents/{agent.id}/sessions",
                headers={"Authorization": f"Bearer {key}"},
                json={},
            )
    assert answer.json()["websocket_url"].startswith("wss://voice.example.com/v1/sessions/ses_")


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with bind(Settings(_env_file=None, port=0)) as listener:
        taken = Settings(_env_file=None, port=listener.getsockname()[1])
        assert is_taken(taken)
        with pytest.raises(
            Failure, match=rf"port {taken.port}: Address already in use; .*NUR_PORT"
        ):
            bind(taken)
    assert not is_taken(taken)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_an_address_this_machine_does_not_have_is_said_too(host: str) -> None:
    with pytest.raises(Failure, match=f"cannot listen on {host} port 0"):
        bind(Settings(_env_file=None, host=host, port=0))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
def test_the_address_is_one_this_machine_can_reach(host: str, address: str) -> None:
    with bind(Settings(_env_file=None, host=host, port=0)) as listener:
        assert address_of(listener).startswith(address)
