"""The webhook a client brings along for its own session, in its first `session.update`."""

from pydantic import ValidationError

from nur_server.api.errors import as_nur_error
from nur_server.api.services import Services
from nur_server.api.webhook_bodies import WebhookBody
from nur_server.errors import InvalidRequest
from nur_server.jobs.webhooks import check_receiver
from nur_server.options import WebhookOptions
from nur_server.store.events import (
    EVERY_EVENT,
)
from nur_server.store.records import SessionRecord
from nur_server.store.webhooks import (
    attach_webhook,
)


def read_webhook(part: WebhookOptions, *, allow_private: bool) -> WebhookBody:
    """The webhook that is asked for; without events it is told of all.

    Raises `InvalidRequest` (`invalid_webhook`).
    """
    events = list(part.events) or [EVERY_EVENT]
    try:
        body = WebhookBody.model_validate(
            {"url": part.url, "events": events, "secret": part.secret}
        )
        check_receiver(body.url, allow_private=allow_private, param="webhook.url")
    except ValidationError as error:
        told = as_nur_error(error)
        raise _refused(f"webhook.{told.message}", f"webhook.{told.param}") from None
    except InvalidRequest as error:
        raise _refused(error.message, error.param) from None
    return body


async def tell(server: Services, session: SessionRecord, webhook: WebhookBody) -> None:
    """From here on the events of this session go to the webhook too."""
    await attach_webhook(
        server.database,
        session.account_id,
        session.id,
        webhook.url,
        events=webhook.events,
        secret=webhook.secret,
    )


def _refused(message: str, param: str | None) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_webhook", param=param)
