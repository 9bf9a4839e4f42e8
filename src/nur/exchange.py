"""One call to its result, through retries: sans I/O.

`exchange()` is a generator that yields what to do next, `Send` or `Wait`, and is sent what came
of it. Each client drives it with its own I/O, so that both retry alike.
"""

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from pydantic import ValidationError

from nur.backoff import LONGEST_RETRY_AFTER_SECONDS, delay_seconds, retry_after_seconds
from nur.call import Call
from nur.errors import (
    ConnectionFailed,
    NurError,
    RequestTimeout,
    StatusError,
    UnreadableAnswer,
    status_error,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request; answer with the response, or with the transport's error."""

    method: str
    url: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while; answer with None."""

    seconds: float


Step = Send | Wait
Outcome = httpx2.Response | httpx2.RequestError | None
Exchange = Generator[Step, Outcome, T]


def exchange(call: Call[T], *, base_url: str, api_key: str, max_retries: int) -> Exchange[T]:
    """Steps towards the result of `call`, which is returned.

    Every attempt at a write carries the same `Idempotency-Key`: the server does it once. Raises
    the errors of `nur.errors`.
    """
    send = _request(call, base_url, api_key)
    for attempt in range(max_retries + 1):
        outcome = yield send
        failure = _failure(outcome, send.url)
        if failure is None:
            assert isinstance(outcome, httpx2.Response)
            return _read(call, outcome)
        wait = _wait_before_retry(failure, attempt)
        if wait is None or attempt == max_retries:
            raise failure
        yield Wait(wait)
    raise AssertionError("the last attempt returns or raises")


def _request(call: Call[Any], base_url: str, api_key: str) -> Send:
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Accept": "*/*" if call.is_binary else "application/json",
    }
    if call.writes:
        headers["Idempotency-Key"] = str(uuid.uuid4())
    return Send(
        method=call.method,
        url=base_url + call.path,
        query={name: value for name, value in call.query.items() if value is not None},
        headers=headers,
        body=call.body,
    )


def _failure(outcome: Outcome, url: str) -> NurError | None:
    match outcome:
        case httpx2.Response():
            return None if outcome.is_success else response_error(outcome)
        case httpx2.TimeoutException():
            return RequestTimeout(
                f"expected an answer from {url} in time, got none; "
                "raise `timeout=` if the server needs longer"
            )
        case _:
            return ConnectionFailed(
                f"expected an answer from {url}, got {outcome}; "
                "is the server running, and `base_url` right?"
            )


def response_error(response: httpx2.Response) -> StatusError:
    """The error an answer stands for. Its body must have been read."""
    try:
        body: object = response.json()
    except ValueError:
        body = None
    headers = response.headers
    return status_error(
        response.status_code,
        body,
        request_id=headers.get("X-Request-ID"),
        retry_after_seconds=retry_after_seconds(headers.get("Retry-After"), headers.get("Date")),
    )


def _wait_before_retry(failure: NurError, attempt: int) -> float | None:
    """Seconds to wait before the next attempt. None: there should be none."""
    if not isinstance(failure, StatusError):
        return delay_seconds(attempt) if failure.retryable else None
    if not _worth_repeating(failure):
        return None
    asked = failure.retry_after_seconds
    if asked is None:
        return delay_seconds(attempt)
    return asked if asked <= LONGEST_RETRY_AFTER_SECONDS else None


def _worth_repeating(failure: StatusError) -> bool:
    if failure.status == 409:
        return failure.code == "idempotency_in_progress"
    return failure.status in (408, 429) or failure.status >= 500


def _read(call: Call[T], response: httpx2.Response) -> T:
    try:
        if call.is_binary:
            return call.read(response.content)
        return call.read(response.json() if response.content else None)
    except (ValueError, ValidationError) as error:
        raise UnreadableAnswer(
            f"expected the answer of {call.method} {call.path}, got something else from "
            f"{response.url} with status {response.status_code}; is `base_url` right?"
        ) from error
