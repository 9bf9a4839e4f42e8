import asyncio
import re
from pathlib import Path

import pytest

from nur_server.api.app import create_app, database_url
from nur_server.errors import NurError
from nur_server.opening.plan import SessionPlan
from nur_server.opening.prepare import Identity
from nur_server.ports import LanguageModelCapabilities
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import ScriptedLanguageModel
from nur_server.providers.warming import QUESTION
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from tests.api.conftest import Server, Start, running


async def test_every_answer_has_a_request_id(server: Server) -> None:
    for path in ("/healthz", "/v1/agents", "/v1/nothing"):
        answer = await server.client.get(path)
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
    given = await server.client.get("/v1/nothing", headers={"X-Request-ID": "trace-7/a"})
    assert given.headers["x-request-id"] == "trace-7/a"
    assert given.json()["error"]["request_id"] == "trace-7/a"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, '"><script>'])
async def test_a_request_id_that_is_not_sane_is_replaced(server: Server, given: str) -> None:
    answer = await server.client.get("/healthz", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_answers_are_not_for_caches_and_frames(server: Server) -> None:
    answer = await server.client.get("/v1/agents")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


async def test_rate_limits(start: Start) -> None:
    async with start(rate_limits={"general": "3/hour"}) as server:
        left = []
        for _ in range(3):
            answer = await server.client.get("/v1/agents")
            assert answer.status_code == 200
            left.append(answer.headers["x-ratelimit-remaining"])
        assert left == ["2", "1", "0"]
        answer = await server.client.get("/v1/agents")
        assert answer.status_code == 429
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(answer.headers["retry-after"]) <= 3600
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert int(answer.headers["x-ratelimit-reset"]) > 0
        assert (await server.client.get("/v1/voices")).status_code == 200


async def test_pages_of_known_origins_may_call(start: Start) -> None:
    origin = {"Origin": "https://app.example"}
    async with start(cors_origins="https://app.example") as server:
        answer = await server.client.get("/v1/agents", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        asked = {
            **origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,idempotency-key",
        }
        preflight = await server.client.options("/v1/agents/agt_1", headers=asked)
        assert preflight.status_code == 200
        assert "x-request-id" in preflight.headers
        stranger = await server.client.get("/v1/agents", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_no_page_may_call_by_default(server: Server) -> None:
    answer = await server.client.get("/v1/agents", headers={"Origin": "https://app.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_the_first_start_makes_a_key_and_later_ones_keep_it(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", log_level="error")
    found: list[NewKey] = []
    for _ in range(2):
        app = create_app(settings, catalogue=Catalogue.scripted(), on_first_key=found.append)
        async with app.router.lifespan_context(app):
            node = app.state.services.node_id
    assert len(found) == 1
    assert node.startswith("node_")


async def test_what_a_dead_server_left_live_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server:
        agent = await server.make_agent()
        session = await server.make_session(agent["id"])
        sessions = server.services.sessions("acc_default")
        await sessions.begin(session["id"], server.services.node_id)
    app = create_app(server.services.settings, catalogue=Catalogue.scripted())
    async with app.router.lifespan_context(app):
        record = await app.state.services.sessions("acc_default").get(session["id"])
    assert (record.status, record.error_code) == ("ended", "session_lost")


class LoadedModel(ScriptedLanguageModel):
    """One whose server loads it at the first question."""

    @property
    def capabilities(self) -> LanguageModelCapabilities:
        return LanguageModelCapabilities(calls_tools=True, loads_at_first_question=True)


async def test_the_model_is_loaded_at_the_start_and_for_a_session(tmp_path: Path) -> None:
    model = LoadedModel([])
    async with running(tmp_path / "data", catalogue=Catalogue.scripted(llm=model)) as server:
        await asyncio.sleep(0)
        assert model.requests == [QUESTION]
        identity = Identity("acc_default", "ses_0123456789ab")
        server.services.opener.prepare(SessionPlan(), identity)
        await asyncio.sleep(0)
        assert model.requests == [QUESTION, QUESTION]


async def test_a_database_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "nur.db").write_bytes(b"this is not a database" * 100)
    settings = Settings(_env_file=None, data_dir=tmp_path, log_level="error")
    app = create_app(settings, catalogue=Catalogue.scripted())
    with pytest.raises(NurError, match="cannot be used"):
        async with app.router.lifespan_context(app):
            pass


async def test_a_second_server_on_one_sqlite_file_does_not_start(tmp_path: Path) -> None:
    first = Settings(_env_file=None, data_dir=tmp_path / "first", log_level="error")
    second = Settings(
        _env_file=None,
        data_dir=tmp_path / "second",
        database_url=f"sqlite:///{tmp_path / 'first' / 'nur.db'}",
        log_level="error",
    )
    for _ in range(2):
        app = create_app(first, catalogue=Catalogue.scripted())
        async with app.router.lifespan_context(app):
            other = create_app(second, catalogue=Catalogue.scripted())
            with pytest.raises(NurError, match="another server uses"):
                async with other.router.lifespan_context(other):
                    pass


def test_where_the_database_is(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert database_url(settings) == f"sqlite:///{tmp_path}/nur.db"
    named = Settings(_env_file=None, database_url="postgresql://u:p@h/n")
    assert database_url(named) == "postgresql://u:p@h/n"


async def test_an_unknown_setting_is_told_at_the_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUR_MAX_SESSION", "3")
    async with start(log_level="warning"):
        pass
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "unknown setting" in line]
    assert line.count("NUR_MAX_SESSION") == 2 and "NUR_MAX_SESSIONS" in line
