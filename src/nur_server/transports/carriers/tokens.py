"""What a carrier opens a call's stream with: good for one call, once, and for a short time."""

import hashlib
import hmac
import secrets

from nur_server.clock import Clock
from nur_server.errors import Forbidden

NONCE_BYTES = 16
MAX_REMEMBERED = 100_000
"""Tokens that were used and have not expired yet."""


class StreamTokens:
    """Makes and redeems tokens: `<call>.<expiry>.<nonce>.<HMAC-SHA256 of what stands before>`.

    The secret lives as long as the engine: a call does not outlive its process either.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        """Nonce to expiry."""

    def make(self, call_id: str, seconds: float) -> str:
        """A token fit for a URL's path."""
        expires = int(self._now() + seconds) + 1
        said = f"{call_id}.{expires}.{secrets.token_urlsafe(NONCE_BYTES)}"
        return f"{said}.{self._sign(said)}"

    def redeem(self, token: str) -> str:
        """The call it is for. Raises `Forbidden` for a forged, expired or used one."""
        said, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(said).encode()):
            raise _refused("a token this server has made, got something else", "invalid")
        call_id, expires, nonce = said.rsplit(".", 2)
        if int(expires) <= self._now():
            raise _refused("a token that is still valid; this one has expired", "expired")
        if nonce in self._used:
            raise _refused("a token that was not used; this one was", "used")
        self._remember(nonce, int(expires))
        return call_id

    def _remember(self, nonce: str, expires: int) -> None:
        if len(self._used) >= MAX_REMEMBERED:
            now = self._now()
            self._used = {used: until for used, until in self._used.items() if until > now}
        if len(self._used) >= MAX_REMEMBERED:
            raise _refused("fewer streams to be opened at a time", "refused")
        self._used[nonce] = expires

    def _sign(self, said: str) -> str:
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _refused(expected: str, why: str) -> Forbidden:
    return Forbidden(f"stream token: expected {expected}", code=f"stream_token_{why}")
