"""`/healthz` and `/readyz`, for whoever watches the server."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends

from nur_server.api.errors import ErrorBody
from nur_server.api.objects import Health, ModelState, Readiness
from nur_server.api.services import Services, services_of
from nur_server.providers.watching import EngineState

router = APIRouter(tags=["Health"])

Server = Annotated[Services, Depends(services_of)]


@router.get("/healthz", name="health")
async def health() -> Health:
    """The process runs."""
    return Health()


@router.get(
    "/readyz",
    name="readiness",
    responses={
        503: {"model": ErrorBody, "description": "It is stopping, or the database does not answer."}
    },
)
async def readiness(server: Server) -> Readiness:
    """Models are loaded and the database answers.

    `models` says how those at an address were last seen. One that cannot be used leaves the
    server ready: others may do.
    """
    server.live.require_open()
    await server.database.ping()
    states = server.catalogue.engine_states()
    return Readiness(
        live_sessions=len(server.live),
        models=[ModelState(id=s.name, kind=s.kind, status=_status(s), code=s.code) for s in states],
    )


def _status(state: EngineState) -> Literal["ok", "failing", "unknown"]:
    if not state.is_known:
        return "unknown"
    return "ok" if state.code is None else "failing"
