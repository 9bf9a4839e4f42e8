import re

from tests.api.conftest import Server

ELSEWHERE = re.compile(r"(?:src|href)=[\"'](?:https?:)?//|https?://")


async def test_the_page_loads_everything_from_this_server(server: Server) -> None:
    answer = await server.client.get("/docs")
    assert answer.status_code == 200
    assert not ELSEWHERE.search(answer.text), answer.text
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", answer.text)
    assert len(named) == 3
    for address in named:
        loaded = await server.client.get(f"/{address}")
        assert loaded.status_code == 200, address
        assert len(loaded.content) > 1000
    assert "'openapi.json'" in answer.text
    assert (await server.client.get("/openapi.json")).status_code == 200


async def test_the_style_loads_nothing_from_elsewhere(server: Server) -> None:
    style = (await server.client.get("/docs/swagger-ui.css")).text
    assert not re.search(r"url\([\"']?(?:https?:)?//", style)


async def test_the_page_asks_no_validator(server: Server) -> None:
    assert '"validatorUrl": null' in (await server.client.get("/docs")).text


async def test_a_file_that_is_not_part_of_the_page_is_not_found(server: Server) -> None:
    for path in ("/docs/core.py", "/docs/..%2f..%2fpyvenv.cfg", "/redoc"):
        assert (await server.client.get(path)).status_code == 404
