"""How each carrier signs what it sends. All are compared in constant time.

Twilio: "Webhooks security"; Plivo: "Signature validation", V3. The public-key ones, Telnyx's and
Vonage's, are with their carriers.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

from nur_server.errors import Forbidden

Fields = Iterable[tuple[str, str]]


def twilio_signature(auth_token: str, url: str, fields: Fields = ()) -> str:
    """Base64 of the HMAC-SHA1 of the URL and then each field's name and value, sorted by name."""
    said = url + "".join(name + value for name, value in sorted(set(fields)))
    digest = hmac.new(auth_token.encode(), said.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def plivo_signature(auth_token: str, method: str, url: str, nonce: str, fields: Fields = ()) -> str:
    """Base64 of the HMAC-SHA256 of `<url>?<sorted query>.<sorted fields>.<nonce>`.

    A field's values are sorted too. A GET's fields count as part of its query.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    posted = sorted(fields)
    if method == "GET":
        query, posted = [*query, *posted], []
    base = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if query or posted:
        base += "?" + "&".join(f"{name}={value}" for name, value in sorted(query))
    if query and posted:
        base += "."
    base += "".join(name + value for name, value in posted)
    digest = hmac.new(auth_token.encode(), f"{base}.{nonce}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def check(carrier: str, header: str, given: str | None, *expected: str) -> None:
    """Raises `Forbidden` unless `given` is one of the expected signatures."""
    judged = (given or "").encode()
    matches = [hmac.compare_digest(judged, signature.encode()) for signature in expected]
    if not any(matches):
        raise forged(carrier, header, given)


def check_any(carrier: str, header: str, given: str | None, expected: str) -> None:
    """Raises `Forbidden` unless one of `given`, set apart by commas, is the expected signature."""
    each = [one.strip().encode() for one in (given or "").split(",")]
    matches = [hmac.compare_digest(one, expected.encode()) for one in each]
    if not any(matches):
        raise forged(carrier, header, given)


def forged(carrier: str, header: str, given: str | None) -> Forbidden:
    got = "none" if not given else "another"
    return Forbidden(
        f"{header}: expected {carrier}'s signature of this request, got {got}; check the "
        "carrier's token and that NUR_PUBLIC_URL is the address the carrier was given",
        code="invalid_signature",
    )


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an `Authorization: Bearer` header; empty where there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
