"""`/metrics`, for Prometheus."""

import hmac

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from nur_server.api.services import services_of
from nur_server.errors import Unauthorized

router = APIRouter(tags=["Health"])


@router.get("/metrics", name="metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """This process's figures, in the text format of Prometheus."""
    services = services_of(request)
    token = services.settings.metrics_token
    if token is not None:
        expected = f"Bearer {token.get_secret_value()}"
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise Unauthorized(
                "expected NUR_METRICS_TOKEN in the header 'Authorization: Bearer …'",
                code="invalid_metrics_token",
            )
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
