"""What Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Server, Start


async def figures(server: Server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_requests_are_counted_by_route_not_by_address(server: Server) -> None:
    agent_id = (await server.make_agent())["id"]
    await server.call("GET", f"/v1/agents/{agent_id}")
    await server.refuse("GET", "/v1/agents/agt_unknown", 404)
    await server.refuse("GET", "/somewhere/else", 404)
    found = await figures(server)
    route = ("route", "/v1/agents/{agent_id}")
    for status in ("200", "404"):
        labels = (("method", "GET"), route, ("status", status))
        assert found["nur_http_requests_total", labels] == 1
    unknown = (("method", "unknown"), ("route", "unknown"), ("status", "404"))
    assert found["nur_http_requests_total", unknown] == 1
    assert not any(agent_id in str(labels) for _, labels in found)


async def test_refusals_of_the_rate_limit_are_counted(start: Start) -> None:
    async with start(rate_limits={"general": "1/minute", "agents": "1/minute"}) as server:
        await server.call("GET", "/v1/agents")
        await server.refuse("GET", "/v1/agents", 429)
        found = await figures(server)
    assert found["nur_rate_limited_total", (("route", "/v1/agents"),)] == 1


async def test_what_is_live_and_how_late_the_loop_is(server: Server) -> None:
    found = await figures(server)
    assert found["nur_sessions_live", ()] == 0
    assert found["nur_recordings_failed_total", ()] == 0
    assert found["nur_writes_waiting", ()] == 0
    assert found["nur_writes_lost_total", ()] == 0
    assert found["nur_writes_refused_total", ()] == 0
    assert ("nur_event_loop_lag_seconds_count", ()) in found


async def test_a_token_keeps_others_away(start: Start) -> None:
    async with start(metrics_token="figures for prometheus") as server:
        refused = await server.client.get("/metrics")
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_metrics_token"
        headers = {"Authorization": "Bearer figures for prometheus"}
        assert (await server.client.get("/metrics", headers=headers)).status_code == 200
