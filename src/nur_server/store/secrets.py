"""Secrets that are given out once, and of which only the SHA-256 is kept.

Looking one up by its hash tells an attacker nothing by how long it takes: nobody can choose a
secret whose hash starts like another's. A slow hash would protect guessable secrets; these have
256 random bits.
"""

import hashlib
import hmac
import secrets

SECRET_BYTES = 32
"""256 bits: nobody guesses them, at any rate of requests."""
KEY_PREFIX = "nur_"
SESSION_PREFIX = "ssk_"
"""Of the secret in a session's `websocket_url`."""


def new_secret(prefix: str) -> str:
    return prefix + secrets.token_hex(SECRET_BYTES)


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_secret_of(secret: str, expected_hash: str | None) -> bool:
    """Whether the secret has this hash. None is the hash of no secret."""
    return expected_hash is not None and hmac.compare_digest(hash_of(secret), expected_hash)
