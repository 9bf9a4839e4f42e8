"""Signatures against values that were not made by this code."""

import pytest

from nur_server.errors import Forbidden
from nur_server.transports.carriers.signatures import (
    bearer,
    check,
    plivo_signature,
    twilio_signature,
)


def test_twilio_signs_as_in_its_documentation() -> None:
    """The worked example of "Webhooks security"."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio_signature("12345", url, fields.items()) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_the_order_of_fields_does_not_matter() -> None:
    fields = [("b", "2"), ("a", "1")]
    assert twilio_signature("t", "https://x", fields) == twilio_signature(
        "t", "https://x", fields[::-1]
    )
    assert plivo_signature("t", "POST", "https://x/y", "n", fields) == plivo_signature(
        "t", "POST", "https://x/y", "n", fields[::-1]
    )


@pytest.mark.parametrize("given", [None, "", "other", "ünlike"])
def test_another_signature_is_refused(given: str | None) -> None:
    with pytest.raises(Forbidden, match="x-signature: expected acme's signature"):
        check("acme", "x-signature", given, "right")


def test_one_of_several_signatures_is_enough() -> None:
    check("acme", "x-signature", "right", "wrong", "right")


@pytest.mark.parametrize(
    ("header", "token"), [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", "")]
)
def test_the_token_of_a_bearer_header(header: str, token: str) -> None:
    assert bearer({"authorization": header}) == token
    assert bearer({}) == ""
