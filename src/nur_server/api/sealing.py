"""Answers that are kept for a repeated request, readable to who sent it alone.

An answer may hold a secret that is stored nowhere else, such as a session's `websocket_url`. It is
encrypted with a key made of the credential that the request came with, which is not stored either.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nur_server.errors import InvalidRequest

MARK = b"\x01"
"""Before a sealed answer: no JSON begins with it."""
NONCE_BYTES = 12
"""What AES-GCM takes (NIST SP 800-38D, section 5.2.1.1)."""


def seal(body: bytes, credential: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return MARK + nonce + _cipher(credential).encrypt(nonce, body, None)


def unseal(kept: bytes, credential: str) -> bytes:
    """The answer as it was. One that an earlier version kept was never sealed.

    Raises `InvalidRequest` for another credential than it was sealed with.
    """
    if not kept.startswith(MARK):
        return kept
    nonce, sealed = kept[1 : 1 + NONCE_BYTES], kept[1 + NONCE_BYTES :]
    try:
        return _cipher(credential).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise InvalidRequest(
            "expected the credential that the first request with this Idempotency-Key came with, "
            "got another; use another Idempotency-Key",
            code="idempotency_key_reused",
        ) from None


def _cipher(credential: str) -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"nur kept answers")
    return AESGCM(derived.derive(credential.encode("utf-8", "replace")))
