"""`/v1/models`: the speech and language models an agent can name."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query

from nur_server.api.auth import Principal, require
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import ModelObject
from nur_server.api.paging import Listing, WindowOf, envelope, page_of
from nur_server.api.services import Services, services_of
from nur_server.errors import NotFound
from nur_server.providers.registry import ModelInfo

router = APIRouter(prefix="/models", tags=["Models"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("models:read")]


@router.get("", name="list_models", responses=declared())
async def list_all(
    window: WindowOf,
    server: Server,
    _principal: Reader,
    kind: Annotated[
        Literal["stt", "llm", "tts"] | None, Query(description="What the model does.")
    ] = None,
) -> Listing[ModelObject]:
    """Every model this server knows, those it cannot use now included."""
    found = [model for model in server.catalogue.models() if kind in (None, model.kind)]
    return Listing[ModelObject](**envelope(page_of(found, window), window, _shown))


@router.get("/{model_id:path}", name="get_model", responses=declared(404))
async def read(
    model_id: Annotated[str, Path(max_length=200)], server: Server, _principal: Reader
) -> ModelObject:
    """One model."""
    models = server.catalogue.models()
    for model in models:
        if model.id == model_id:
            return _shown(model)
    known = [model.id for model in models]
    raise NotFound(
        f"expected a model of this server, one of {', '.join(known)}; got {model_id[:80]!r}",
        param="model_id",
        details={"models": known},
    )


def _shown(model: ModelInfo) -> ModelObject:
    return ModelObject(
        id=model.id,
        kind=model.kind,
        name=model.name,
        provider=model.provider,
        description=model.description,
        available=model.available,
        is_default=model.is_default,
    )
