"""Tokens of clients that speak LiveKit's protocol: a JWT for one session, which is its room.

They have LiveKit's claims, so that its clients can read them. What opens the session is the secret
that they carry, the one of its `websocket_url`; the signature keeps others from making them.
"""

from dataclasses import dataclass
from datetime import datetime

import jwt

from nur_server.clock import Clock
from nur_server.errors import Unauthorized

PURPOSE = "tokens of LiveKit clients"
"""Of the signing secret in the store."""
ISSUER = "nur"
IDENTITY = "user"
"""Of whoever talks to the agent: a session has one."""


@dataclass(frozen=True, slots=True)
class MediaClaims:
    """What a valid token says."""

    session_id: str
    """Also the name of the room."""
    secret: str
    identity: str
    name: str


class MediaTokens:
    """Makes and checks them. Every node has the same key."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def make(self, session_id: str, secret: str, expires_at: datetime, name: str = IDENTITY) -> str:
        """Valid as long as the session's address, so that a client comes back with it."""
        now = int(self._clock.now().timestamp())
        payload = {
            "iss": ISSUER,
            "sub": IDENTITY,
            "jti": IDENTITY,
            "nbf": now,
            "iat": now,
            "exp": int(expires_at.timestamp()),
            "name": name,
            "video": {
                "roomJoin": True,
                "room": session_id,
                "canPublish": True,
                "canSubscribe": True,
                "canPublishData": True,
                "canUpdateOwnMetadata": True,
            },
            "nur": {"secret": secret},
        }
        return jwt.encode(payload, self._key, algorithm="HS256")

    def verify(self, token: str) -> MediaClaims:
        """Raises `Unauthorized` for a forged, foreign or expired one, and for one of no room."""
        try:
            said = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                issuer=ISSUER,
                options={
                    "require": ["exp", "sub"],
                    "verify_exp": False,  # judged below, by this server's clock
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            video = said["video"]
            if video["roomJoin"] is not True:
                raise ValueError("no room")
            claims = MediaClaims(
                str(video["room"]),
                str(said["nur"]["secret"]),
                str(said["sub"]),
                str(said.get("name") or ""),
            )
            expires_at = float(said["exp"])
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            raise Unauthorized(
                "expected a token that this server made for a session, such as POST /voice/start "
                "returns; got another",
                code="invalid_token",
            ) from None
        if expires_at <= self._clock.now().timestamp():
            raise Unauthorized("the token has expired; start another session", code="token_expired")
        return claims
