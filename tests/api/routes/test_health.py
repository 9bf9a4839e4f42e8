import shutil
from dataclasses import replace
from pathlib import Path

from nur_server.store.engine import Database
from tests.api.conftest import Server


async def test_anybody_may_ask_how_it_is(server: Server) -> None:
    del server.client.headers["authorization"]
    assert await server.call("GET", "/healthz") == {"status": "ok"}
    ready = await server.call("GET", "/readyz")
    assert ready == {"status": "ready", "database": "ok", "live_sessions": 0}


async def test_a_server_without_its_database_is_not_ready(server: Server, tmp_path: Path) -> None:
    gone = await Database.open(f"sqlite:///{tmp_path}/gone/nur.db")
    await gone.close()
    shutil.rmtree(tmp_path / "gone")
    server.app.state.services = replace(server.services, database=gone)
    error = await server.refuse("GET", "/readyz", 503)
    assert error["code"] == "database_unavailable"
    assert str(tmp_path) not in error["message"]
    await server.call("GET", "/healthz")
