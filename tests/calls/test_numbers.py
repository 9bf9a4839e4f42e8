from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.calls.numbers import NumberKind, is_fictional, read_number
from nur_server.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "kind", "country"),
    [
        ("+14155559999", NumberKind.ORDINARY, "US"),
        ("+442079460958", NumberKind.ORDINARY, "GB"),
        ("+919876543210", NumberKind.ORDINARY, "IN"),
        ("+18765551234", NumberKind.ORDINARY, "JM"),
        ("+19005551234", NumberKind.PREMIUM, "US"),
        ("+449098790000", NumberKind.PREMIUM, "GB"),
        ("+447012345678", NumberKind.PREMIUM, "GB"),
        ("+881612345678", NumberKind.SATELLITE, None),
        ("+870773123456", NumberKind.SATELLITE, None),
        ("+8835100012345", NumberKind.SATELLITE, None),
        ("+80012345678", NumberKind.GLOBAL, None),
        ("+15550100", NumberKind.FICTIONAL, "US"),
        ("+15551234567", NumberKind.FICTIONAL, "US"),
        ("+14155550123", NumberKind.FICTIONAL, "US"),
    ],
)
def test_what_a_number_is(text: str, kind: NumberKind, country: str | None) -> None:
    number = read_number(text, "to_number")
    assert (number.e164, number.kind, number.country) == (text, kind, country)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "14155559999",
        "+1 415 555 9999",
        "+0123456789",
        "+1415555999",
        "+141555599990",
        "+999123456789",
        "+1911",
        "+1415555999９",
        "tel:+14155559999",
        "+14155559999\n",
        "+1234567890123456",
    ],
)
def test_no_number(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_number(text, "to_number")
    assert refused.value.code == "invalid_phone_number"
    assert refused.value.param == "to_number"


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with suppress(InvalidRequest):
        assert read_number(text, "to_number").e164 == text


@pytest.mark.parametrize("text", ["+14155559999", "+15551", "+155512345678", "+14155550223"])
def test_numbers_that_somebody_may_have(text: str) -> None:
    assert not is_fictional(text)
