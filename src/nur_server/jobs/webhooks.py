"""Delivering webhooks: one attempt is one job.

Signed as Standard Webhooks says (https://www.standardwebhooks.com): `webhook-id` is the event's id
and the same on every attempt, so that a receiver can tell a repetition.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import orjson
import structlog
from standardwebhooks.webhooks import Webhook

from nur_server import __version__
from nur_server.clock import Clock, iso
from nur_server.errors import InvalidRequest
from nur_server.jobs.worker import Run
from nur_server.providers.names import on_behalf_of
from nur_server.providers.net import check_url
from nur_server.store.deliveries import (
    Attempt,
    Outcome,
    claim_attempt,
    finish_attempt,
)
from nur_server.store.engine import Database

ATTEMPT_SECONDS = 10.0
"""Longest wait for an answer."""
BACK_OFF_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 28800)
"""From an attempt to the next, give or take a tenth; the last for all further ones."""
LAST_CHANCE_SECONDS = 600
"""With more than this left before a delivery is given up, it gets one last attempt at the end."""
MAX_RETRY_AFTER_SECONDS = 3600
EXCERPT_BYTES = 200
"""Of a refusal's body, kept in the log."""
GONE = 410

log = structlog.get_logger(__name__)


def check_receiver(url: str, *, allow_private: bool, param: str = "url") -> None:
    """Whether webhooks may be sent to an address. Raises `InvalidRequest`."""
    check_url(url, allow_private=allow_private, param=param)
    if not allow_private and not url.lower().startswith("https://"):
        raise InvalidRequest(
            f"{param}: expected an https address, got {url[:80]!r}; "
            "set NUR_ALLOW_PRIVATE_URLS=1 to send webhooks unencrypted",
            code="invalid_url",
            param=param,
        )


def body_of(attempt: Attempt) -> bytes:
    """What is sent: the same bytes on every attempt.

    The envelope, the event's `data`, and its fields once more beside it, as clients look for them.
    """
    data = dict(attempt.data)
    moment = iso(attempt.created_at)
    body: dict[str, Any] = {
        **data,
        "id": attempt.event_id,
        "event_id": attempt.event_id,
        "type": attempt.type,
        "event": attempt.type,
        "event_type": attempt.type,
        "created": int(attempt.created_at.timestamp()),
        "created_at": moment,
        "timestamp": moment,
        "account_id": attempt.account_id,
        "agent_id": attempt.agent_id,
        "data": data,
    }
    kind = "call" if attempt.type.startswith("call.") else "session"
    if f"{kind}_id" in data:
        body[kind] = data
    return orjson.dumps(body)


def headers_of(attempt: Attempt, body: bytes, clock: Clock) -> dict[str, str]:
    """With a signature for each of the webhook's secrets."""
    now = clock.now()
    signatures = [
        Webhook(secret).sign(attempt.event_id, now, body.decode()) for secret in attempt.secrets
    ]
    return {
        "content-type": "application/json",
        "user-agent": f"Nur-Webhooks/{__version__}",
        "webhook-id": attempt.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: Outcome
    retry_after_seconds: float = 0.0


class Deliverer:
    """Makes the attempts of this node. `client` guards its own addresses."""

    def __init__(
        self,
        database: Database,
        client: httpx2.AsyncClient,
        clock: Clock,
        *,
        allow_private: bool,
        back_off_seconds: Sequence[float] = BACK_OFF_SECONDS,
    ) -> None:
        self._database = database
        self._client = client
        self._clock = clock
        self._allow_private = allow_private
        self._back_off_seconds = back_off_seconds

    async def deliver(self, run: Run) -> None:
        """Make one attempt, unless it was made or is another job's to make."""
        attempt = await claim_attempt(
            self._database, run.payload["delivery_id"], run.payload["attempt"], run.key
        )
        if attempt is None:
            return
        with on_behalf_of(attempt.account_id):
            answer = await self._send(attempt)
        status = await finish_attempt(
            self._database, attempt, answer.outcome, self._retry_at(attempt, answer)
        )
        log.info(
            "webhook.attempted",
            delivery_id=attempt.delivery_id,
            webhook_id=attempt.webhook_id,
            event_id=attempt.event_id,
            type=attempt.type,
            attempt=attempt.number,
            http_status=answer.outcome.http_status,
            status=status.value if status else None,
        )

    def _retry_at(self, attempt: Attempt, answer: _Answer) -> datetime:
        steps = self._back_off_seconds
        pause = steps[min(attempt.number, len(steps)) - 1] * random.uniform(0.9, 1.1)
        pause = max(pause, answer.retry_after_seconds)
        now = self._clock.now()
        left = (attempt.give_up_at - now).total_seconds()
        if pause > left > LAST_CHANCE_SECONDS:
            pause = left - 1.0
        return now + timedelta(seconds=pause)

    async def _send(self, attempt: Attempt) -> _Answer:
        began = self._clock.monotonic()
        http_status, error, retry_after, is_final = None, None, 0.0, False
        try:
            check_receiver(attempt.url, allow_private=self._allow_private)
            body = body_of(attempt)
            headers = headers_of(attempt, body, self._clock)
            request = self._client.build_request("POST", attempt.url, content=body, headers=headers)
            async with asyncio.timeout(ATTEMPT_SECONDS):
                response = await self._client.send(request, stream=True)
                try:
                    http_status = response.status_code
                    retry_after = _retry_after(response)
                    if not 200 <= http_status < 300:
                        error = await _refusal(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            if http_status is None:
                error = f"no answer within {ATTEMPT_SECONDS:g} s"
        except InvalidRequest as refused:
            error, is_final = refused.message, refused.code == "invalid_url"
        except (httpx2.InvalidURL, ValueError, TypeError) as impossible:
            error, is_final = f"it cannot be sent: {impossible}", True
        except Exception as failed:
            error = f"{type(failed).__name__}: {failed}"
        outcome = Outcome(
            delivered=http_status is not None and 200 <= http_status < 300,
            http_status=http_status,
            error=error,
            duration_ms=round(1000 * (self._clock.monotonic() - began)),
            is_gone=http_status == GONE,
            is_final=is_final,
        )
        return _Answer(outcome, retry_after)


async def _refusal(response: httpx2.Response) -> str:
    """Why it does not count, with the beginning of what was said."""
    said = bytearray()
    async for piece in response.aiter_bytes(EXCERPT_BYTES):
        said += piece
        if len(said) >= EXCERPT_BYTES:
            break
    text = bytes(said[:EXCERPT_BYTES]).decode("utf-8", "replace").strip()
    return f"expected a status from 200 to 299, got {response.status_code}" + (
        f": {text}" if text else ""
    )


def _retry_after(response: httpx2.Response) -> float:
    """Seconds the receiver asks for, within reason."""
    asked = response.headers.get("retry-after", "")
    if response.status_code not in (429, 503) or not asked.isascii() or not asked.isdecimal():
        return 0.0
    return min(float(asked[:9]), MAX_RETRY_AFTER_SECONDS)
