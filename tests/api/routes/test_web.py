"""The files of the dashboard, and what is said where there are none."""

from pathlib import Path

import pytest

from nur_server.api.routes import web
from tests.api.conftest import Server

VISIT = {"Accept": "text/html,application/xhtml+xml"}
PAGE = '<!doctype html><base href="/" /><script type="module" src="./assets/a.js"></script>'


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of three files."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "try.html").write_text(PAGE)
    (folder / "assets/a.js").write_text("1")
    (folder / "nur.js").write_text("2")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(web, "BUILT", folder)
    web._files.cache_clear()
    web._text.cache_clear()
    return folder


@pytest.mark.parametrize(
    "path", ["/", "/calls", "/calls/ses_1", "/agents/agt_1/edit", "/try/agt_1"]
)
async def test_every_place_is_a_page_that_runs_its_own_scripts_alone(
    server: Server, built: Path, path: str
) -> None:
    answer = await server.client.get(path, headers=VISIT)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"


async def test_behind_a_prefix_the_page_finds_its_files(server: Server, built: Path) -> None:
    answer = await server.client.get(
        "/calls/ses_1", headers={**VISIT, "X-Forwarded-Prefix": "/voice/nur"}
    )
    assert '<base href="/voice/nur/" />' in answer.text


async def test_assets_are_kept_for_good_and_other_files_are_for_every_page(
    server: Server, built: Path
) -> None:
    asset = await server.client.get("/assets/a.js")
    assert (asset.status_code, asset.text) == (200, "1")
    assert "immutable" in asset.headers["cache-control"]
    script = await server.client.get("/nur.js")
    assert script.headers["access-control-allow-origin"] == "*"
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/none.js",
        "/index.html",
    ],
)
async def test_nothing_else_is_served(server: Server, built: Path, path: str) -> None:
    answer = await server.client.get(path, headers=VISIT)
    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/", "/calls/ses_1", "/try/agt_1", "/nur.js", "/widget.js"])
async def test_without_a_build_the_server_says_what_is_missing_and_works(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(web, "BUILT", tmp_path / "nothing")
    web._files.cache_clear()
    answer = await server.client.get(path, headers=VISIT)
    assert answer.status_code == 501
    assert "npm run build" in answer.text
    assert (await server.client.get("/healthz")).status_code == 200
    web._files.cache_clear()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/agents"), ("POST", "/agents")]
)
async def test_a_client_of_the_api_is_shown_no_page(
    server: Server, built: Path, method: str, path: str
) -> None:
    assert (await server.refuse(method, path, 404))["type"] == "not_found_error"
