"""Calls move forward only, whatever order carriers report in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.calls import states
from nur_server.calls.states import FINAL, WAITING
from nur_server.conversation.events import EndedReason
from nur_server.ports import HangupCause
from nur_server.store.call_records import (
    CallStatus,
)

RANK = {
    CallStatus.SCHEDULED: 0,
    CallStatus.INITIATING: 1,
    CallStatus.RINGING: 2,
    CallStatus.IN_PROGRESS: 3,
    **dict.fromkeys(FINAL, 4),
}


@given(st.sampled_from(CallStatus), st.lists(st.sampled_from(CallStatus), max_size=30))
def test_any_order_of_reports_moves_forward_only(
    status: CallStatus, reports: list[CallStatus]
) -> None:
    for report in reports:
        if status in states.sources(report):
            assert RANK[report] > RANK[status]
            status = report
        if status in FINAL:
            assert all(status not in states.sources(other) for other in CallStatus)


@pytest.mark.parametrize("status", [s for s in CallStatus if s not in FINAL])
def test_every_call_can_fail(status: CallStatus) -> None:
    assert status in states.sources(CallStatus.FAILED)


def test_only_a_conversation_is_completed() -> None:
    assert states.sources(CallStatus.COMPLETED) == {CallStatus.IN_PROGRESS}


@pytest.mark.parametrize("status", [CallStatus.NO_ANSWER, CallStatus.CANCELED])
def test_a_conversation_is_neither_unanswered_nor_canceled(status: CallStatus) -> None:
    assert states.sources(status) == WAITING


@pytest.mark.parametrize(
    ("cause", "status", "reason"),
    [
        (HangupCause.BUSY, CallStatus.FAILED, EndedReason.BUSY),
        (HangupCause.REJECTED, CallStatus.FAILED, EndedReason.REJECTED),
        (HangupCause.INVALID_NUMBER, CallStatus.FAILED, EndedReason.INVALID_NUMBER),
        (HangupCause.NO_ANSWER, CallStatus.NO_ANSWER, EndedReason.NO_ANSWER),
        (HangupCause.CANCELED, CallStatus.CANCELED, EndedReason.CANCELED),
        (HangupCause.CARRIER_ERROR, CallStatus.FAILED, EndedReason.CARRIER_ERROR),
        (HangupCause.NORMAL, CallStatus.FAILED, EndedReason.NO_MEDIA),
    ],
)
def test_what_a_carrier_says_of_a_call_without_media(
    cause: HangupCause, status: CallStatus, reason: EndedReason
) -> None:
    ending = states.unanswered(cause, "486 Busy Here")
    assert (ending.status, ending.reason) == (status, reason)
    assert ending.error_message == "486 Busy Here"


@given(st.sampled_from(EndedReason))
def test_every_conversation_ends_completed_or_failed(reason: EndedReason) -> None:
    ending = states.answered(reason)
    assert ending.status in (CallStatus.COMPLETED, CallStatus.FAILED)
    assert ending.reason is reason
    assert (ending.error_code is not None) == (ending.status is CallStatus.FAILED)


@given(st.sampled_from(EndedReason))
def test_every_call_given_up_ends_in_a_status_it_can_reach(reason: EndedReason) -> None:
    ending = states.given_up(reason)
    assert ending.status in FINAL - {CallStatus.COMPLETED}
    assert ending.sources >= WAITING


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (HangupCause.NORMAL, EndedReason.CALLER_HUNG_UP),
        (HangupCause.BUSY, EndedReason.CALLER_HUNG_UP),
        (HangupCause.CARRIER_ERROR, EndedReason.CARRIER_ERROR),
        (HangupCause.NO_MEDIA, EndedReason.NO_MEDIA),
    ],
)
def test_why_a_conversation_ends_whose_far_end_is_gone(
    cause: HangupCause, reason: EndedReason
) -> None:
    assert cause.ended_reason is reason
