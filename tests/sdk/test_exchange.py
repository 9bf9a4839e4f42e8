"""Retries, step by step, without I/O or waiting."""

import httpx2
import pytest

from nur.agents import create_agent, get_agent
from nur.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InternalError,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RequestTimeout,
    StatusError,
    Unauthorized,
    Unavailable,
    UnreadableAnswer,
)
from nur.exchange import Send, Wait, exchange
from nur.objects import Agent

CREATE = create_agent(name="Ada", voice_id="claire", system_prompt="Be brief.")
READ = get_agent("agt_1")
AGENT = {"id": "agt_1", "name": "Ada", "voice_id": "claire", "system_prompt": "Be brief."}


def answer(status=200, body=AGENT, **headers):
    return httpx2.Response(
        status, json=body, headers=headers, request=httpx2.Request("GET", "http://nur.test/v1")
    )


def refusal(status, code="code", **fields):
    return answer(status, {"error": {"code": code, "message": "said", **fields}})


class Dialogue:
    """A call in progress: what it wants to do is in `step`."""

    def __init__(self, call=READ, max_retries=2):
        self.steps = exchange(
            call, base_url="http://nur.test", api_key="nur_k", max_retries=max_retries
        )
        self.step = next(self.steps)
        self.result = None

    def give(self, outcome):
        try:
            self.step = self.steps.send(outcome)
        except StopIteration as done:
            self.result = done.value
        return self.step


def raised_by(outcome, call=READ):
    with pytest.raises(Exception) as caught:
        Dialogue(call, max_retries=0).give(outcome)
    return caught.value


def test_a_read_carries_the_key_and_no_idempotency_key():
    step = Dialogue(READ).step
    assert isinstance(step, Send)
    assert (step.method, step.url) == ("GET", "http://nur.test/v1/agents/agt_1")
    assert step.headers["Authorization"] == "Bearer nur_k"
    assert "Idempotency-Key" not in step.headers


def test_the_answer_becomes_an_object():
    dialogue = Dialogue(READ)
    dialogue.give(answer())
    assert isinstance(dialogue.result, Agent)
    assert dialogue.result.name == "Ada"


def test_a_write_is_repeated_with_the_same_idempotency_key():
    dialogue = Dialogue(CREATE)
    first = dialogue.step
    assert isinstance(dialogue.give(refusal(503)), Wait)
    second = dialogue.give(None)
    assert second == first
    assert first.headers["Idempotency-Key"]


def test_two_writes_have_different_idempotency_keys():
    keys = {Dialogue(CREATE).step.headers["Idempotency-Key"] for _ in range(3)}
    assert len(keys) == 3


def test_waits_grow():
    dialogue = Dialogue(READ, max_retries=3)
    waits = []
    for _ in range(3):
        waits.append(dialogue.give(refusal(500)).seconds)
        dialogue.give(None)
    assert 0.25 <= waits[0] <= 0.3125 < 0.5 <= waits[1] <= 0.625 < 1 <= waits[2] <= 1.25


def test_retries_end():
    dialogue = Dialogue(READ, max_retries=1)
    dialogue.give(refusal(500))
    dialogue.give(None)
    with pytest.raises(InternalError):
        dialogue.give(refusal(500))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_these_statuses_are_tried_again(status):
    assert isinstance(Dialogue(READ).give(refusal(status)), Wait)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_these_are_not(status):
    with pytest.raises(StatusError):
        Dialogue(READ).give(refusal(status))


def test_a_conflict_with_its_own_earlier_attempt_is_tried_again():
    assert isinstance(Dialogue(CREATE).give(refusal(409, "idempotency_in_progress")), Wait)


def test_retry_after_is_honoured():
    limited = answer(429, {"error": {"code": "rate_limit_exceeded"}}, **{"Retry-After": "7"})
    assert Dialogue(READ).give(limited) == Wait(7.0)


def test_retry_after_may_be_a_date():
    limited = answer(
        503,
        {},
        **{"Retry-After": "Fri, 20 Nov 2026 10:00:09 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"},
    )
    assert Dialogue(READ).give(limited) == Wait(9.0)


def test_a_retry_after_of_more_than_a_minute_is_not_waited_for():
    with pytest.raises(RateLimited) as caught:
        Dialogue(READ).give(answer(429, {}, **{"Retry-After": "61"}))
    assert caught.value.retry_after_seconds == 61


def test_an_unreadable_retry_after_is_ignored():
    step = Dialogue(READ).give(answer(503, {}, **{"Retry-After": "soon"}))
    assert 0.25 <= step.seconds <= 0.3125


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, PayloadTooLarge),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, InternalError),
        (503, Unavailable),
        (502, InternalError),
        (405, StatusError),
    ],
)
def test_one_error_class_per_status(status, kind):
    error = raised_by(refusal(status))
    assert type(error) is kind
    assert error.status == status


def test_an_error_tells_everything_the_server_said():
    error = raised_by(
        refusal(
            422,
            "invalid_parameter",
            message="expected a known voice, got 'x'",
            param="voice_id",
            details={"valid": ["claire"]},
            request_id="req_1",
        )
    )
    assert (error.code, error.param, error.request_id) == (
        "invalid_parameter",
        "voice_id",
        "req_1",
    )
    assert error.details == {"valid": ["claire"]}
    assert str(error) == "expected a known voice, got 'x' (422 invalid_parameter, req_1)"
    assert not error.retryable


def test_an_error_without_a_body_has_the_header_s_request_id():
    response = httpx2.Response(500, text="<html>", headers={"X-Request-ID": "req_2"})
    error = raised_by(response)
    assert error.request_id == "req_2"
    assert "500" in error.message


def test_a_connection_error_is_tried_again_and_then_raised():
    assert isinstance(Dialogue(CREATE).give(httpx2.ConnectError("refused")), Wait)
    error = raised_by(httpx2.ConnectError("refused"))
    assert type(error) is ConnectionFailed
    assert "refused" in error.message
    assert error.retryable


def test_a_time_out_is_its_own_error():
    assert type(raised_by(httpx2.ReadTimeout("slow"))) is RequestTimeout


@pytest.mark.parametrize("body", ["<html>hello</html>", '{"object": "list"}'])
def test_an_answer_of_something_else_says_so(body):
    error = raised_by(
        httpx2.Response(200, text=body, request=httpx2.Request("GET", "http://nur.test/"))
    )
    assert isinstance(error, UnreadableAnswer)
    assert "base_url" in error.message


def test_an_id_cannot_leave_its_place_in_the_path():
    assert get_agent("../keys?x=1").path == "/v1/agents/..%2Fkeys%3Fx%3D1"


def test_an_empty_id_is_refused_before_it_reads_a_list():
    with pytest.raises(ValueError, match="expected an id"):
        get_agent("")
