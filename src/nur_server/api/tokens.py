"""Short-lived tokens: what a page in a browser opens one session with, instead of a key.

And the tokens that sessions are come back to with.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from nur_server.clock import Clock
from nur_server.errors import Unauthorized, Unavailable
from nur_server.ids import new_id

PURPOSE = "browser tokens"
"""Of the signing secret in the store."""
ISSUER = "nur"
AUDIENCE = "nur:session"
MIN_LIFE_SECONDS, MAX_LIFE_SECONDS = 1, 600
MIN_SESSION_SECONDS, MAX_SESSION_SECONDS = 60, 10_800
USUAL_LIVE_SESSIONS, MOST_LIVE_SESSIONS = 10, 1000
"""Of one token at a time: a page has one, and some more while it is loaded again."""
MAX_AGENTS = 20
"""That one token names."""
RESUME_PREFIX = "rsm_"
"""Of the `resume_token` in `session.ready`."""
MAX_REMEMBERED = 100_000
"""Single-use tokens that were used and have not expired yet."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    token_id: str
    account_id: str
    key_id: str
    """The key it was made with: revoking that ends the token too."""
    expires_at: datetime
    max_session_seconds: int
    """Longest a session opened with it may last."""
    max_live_sessions: int = USUAL_LIVE_SESSIONS
    """Sessions opened with it that may be live at a time."""
    agent_ids: tuple[str, ...] | None = None
    """The agents it opens. None: any, and configurations of the client's own."""
    allowed_origins: tuple[str, ...] | None = None
    """The pages it works on. None: anywhere."""


def _names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


class ResumeTokens:
    """Makes and checks what a client comes back to its live session with.

    A session is live in one process and ends with it, so the secret is this process's own.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, session_id: str, *, has_key: bool = False) -> str:
        """A token of the session, good for as long as it is live. `has_key`: who comes back with
        it has the rights of a key."""
        said = f"{session_id} {'key' if has_key else 'guest'}"
        mac = hmac.digest(self._secret, said.encode(), "sha256").hex()
        return f"{RESUME_PREFIX}{session_id}.{mac}"

    def is_for(self, token: str, session_id: str, *, has_key: bool = False) -> bool:
        """Whether this is the token of that session, with these rights."""
        expected = self.make(session_id, has_key=has_key)
        return hmac.compare_digest(token.encode("utf-8", "replace"), expected.encode())


class Tokens:
    """Makes and checks tokens. JWT with HS256; every node has the same secret."""

    def __init__(self, secret: bytes, clock: Clock, *, single_use: bool) -> None:
        self._secret = secret
        self._clock = clock
        self._single_use = single_use
        self._used: dict[str, datetime] = {}

    def make(
        self,
        account_id: str,
        key_id: str,
        *,
        expires_in_seconds: int,
        max_session_seconds: int = MAX_SESSION_SECONDS,
        max_live_sessions: int = USUAL_LIVE_SESSIONS,
        agent_ids: Sequence[str] | None = None,
        allowed_origins: Sequence[str] | None = None,
    ) -> tuple[str, TokenClaims]:
        """A fresh token and what it says."""
        now = self._clock.now()
        claims = TokenClaims(
            token_id=new_id("tok"),
            account_id=account_id,
            key_id=key_id,
            expires_at=now + timedelta(seconds=expires_in_seconds),
            max_session_seconds=max_session_seconds,
            max_live_sessions=max_live_sessions,
            agent_ids=_names(agent_ids),
            allowed_origins=_names(allowed_origins),
        )
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account_id,
            "jti": claims.token_id,
            "key": key_id,
            "iat": now.timestamp(),
            "exp": claims.expires_at.timestamp(),
            "max_session": max_session_seconds,
            "max_live": max_live_sessions,
            "agents": claims.agent_ids,
            "origins": claims.allowed_origins,
        }
        return jwt.encode(payload, self._secret, algorithm="HS256"), claims

    def verify(self, token: str) -> TokenClaims:
        """What the token says. Raises `Unauthorized` for a forged, foreign or expired one."""
        try:
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "sub", "jti"],
                    "verify_exp": False,  # judged below, by this server's clock
                    "verify_iat": False,
                },
            )
            claims = TokenClaims(
                token_id=payload["jti"],
                account_id=payload["sub"],
                key_id=payload["key"],
                expires_at=datetime.fromtimestamp(payload["exp"], UTC),
                max_session_seconds=payload["max_session"],
                max_live_sessions=payload.get("max_live", USUAL_LIVE_SESSIONS),
                agent_ids=_names(payload.get("agents")),
                allowed_origins=_names(payload.get("origins")),
            )
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            raise Unauthorized(
                "expected a token made by this server's /v1/token, got something else",
                code="invalid_token",
            ) from None
        if claims.expires_at <= self._clock.now():
            raise Unauthorized("the token has expired; make a new one", code="token_expired")
        return claims

    def redeem(self, token: str) -> TokenClaims:
        """As `verify`, for opening a session: with `single_use_tokens`, once per token and node.

        Raises `Unauthorized`, and `Unavailable` while more tokens are in use than are remembered.
        """
        claims = self.verify(token)
        if not self._single_use:
            return claims
        now = self._clock.now()
        if claims.token_id in self._used:
            raise Unauthorized("the token has been used; make a new one", code="token_used")
        if len(self._used) >= MAX_REMEMBERED:
            self._used = {used: until for used, until in self._used.items() if until > now}
        if len(self._used) >= MAX_REMEMBERED:
            raise Unavailable("too many tokens are in use; try again in a minute")
        self._used[claims.token_id] = claims.expires_at
        return claims
