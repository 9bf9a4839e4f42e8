from tests.api.conftest import Server


async def test_every_model_is_listed(server: Server) -> None:
    page = await server.call("GET", "/v1/models")
    models = {model["id"]: model for model in page["data"]}
    assert {"qwen3.5-4b", "voxtral-realtime", "qwen3-tts", "offline"} <= models.keys()
    assert models["qwen3.5-4b"]["kind"] == "llm"
    assert models["qwen3.5-4b"]["available"] is False
    assert models["offline"]["available"] is True
    defaults = [model["kind"] for model in page["data"] if model["is_default"]]
    assert sorted(defaults) == ["llm", "stt", "tts"]


async def test_models_by_kind(server: Server) -> None:
    page = await server.call("GET", "/v1/models?kind=tts")
    assert {model["kind"] for model in page["data"]} == {"tts"}
    assert (await server.refuse("GET", "/v1/models?kind=vad", 422))["param"] == "kind"


async def test_one_model(server: Server) -> None:
    assert (await server.call("GET", "/v1/models/offline"))["id"] == "offline"
    error = await server.refuse("GET", "/v1/models/org/unknown", 404)
    assert "offline" in error["details"]["models"]
