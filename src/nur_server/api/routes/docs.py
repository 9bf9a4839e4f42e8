"""`/docs`: the API, with a page to try it, that loads nothing from anywhere else."""

import importlib.util
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"
CACHE = {"Cache-Control": "public, max-age=86400"}


@router.get("/docs")
async def page() -> HTMLResponse:
    """Its addresses are relative: the server may stand behind a prefix."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Nur",
        swagger_js_url=f"docs/{SCRIPT}",
        swagger_css_url=f"docs/{STYLE}",
        swagger_favicon_url=f"docs/{ICON}",
        # By default it shows the document to a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": True},
    )


@router.get(f"/docs/{SCRIPT}")
async def script() -> FileResponse:
    return FileResponse(_assets() / SCRIPT, headers=CACHE)


@router.get(f"/docs/{STYLE}")
async def style() -> FileResponse:
    return FileResponse(_assets() / STYLE, headers=CACHE)


@router.get(f"/docs/{ICON}")
async def icon() -> FileResponse:
    return FileResponse(_assets() / ICON, headers=CACHE)


@cache
def _assets() -> Path:
    """Swagger UI, which lies in the package fastapi-offline. Nothing of that is run."""
    found = importlib.util.find_spec("fastapi_offline")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "static"
