"""`/healthz` and `/readyz`, for whoever watches the server."""

from typing import Annotated

from fastapi import APIRouter, Depends

from nur_server.api.errors import ErrorBody
from nur_server.api.objects import Health, Readiness
from nur_server.api.services import Services, services_of

router = APIRouter(tags=["Health"])

Server = Annotated[Services, Depends(services_of)]


@router.get("/healthz", name="health")
async def health() -> Health:
    """The process runs."""
    return Health()


@router.get(
    "/readyz",
    name="readiness",
    responses={503: {"model": ErrorBody, "description": "The database does not answer."}},
)
async def readiness(server: Server) -> Readiness:
    """Models are loaded and the database answers."""
    await server.database.ping()
    return Readiness(live_sessions=len(server.live))
