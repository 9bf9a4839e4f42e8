"""Who may begin a conversation over a socket, and who may come back to one.

A session's id is a name, not a key: webhooks, lists and traces carry it. What proves the right to
a session is the secret of its `websocket_url`, the `resume_token` of its `session.ready`, a key of
its account that is valid now, or the very browser token that opened it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from nur_server.agents.access import is_allowed_origin
from nur_server.api.auth import Principal, credential_of, identify, refuse_keys_in
from nur_server.api.scopes import CONNECT
from nur_server.api.services import Services
from nur_server.api.tokens import RESUME_PREFIX, ResumeTokens
from nur_server.errors import Forbidden, Unauthorized
from nur_server.opening.rights import Rights
from nur_server.session.runner import Session
from nur_server.store.records import SessionRecord
from nur_server.store.secrets import SESSION_PREFIX, is_secret_of

log = structlog.get_logger(__name__)

FAILED = "Authentication failed"
"""How the message of a refused credential begins."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a connection has shown of who it is."""

    principal: Principal | None = None
    """Whose key or browser token it has, valid now. None: it has none."""
    proofs: tuple[str, ...] = ()
    """Secrets and resume tokens of sessions, not checked yet."""

    def with_proof(self, proof: str | None) -> "Caller":
        return self if not proof else Caller(self.principal, (*self.proofs, proof))

    @property
    def rights(self) -> Rights:
        """In a session of its own account."""
        return Rights(has_key=self.principal is not None and self.principal.token is None)

    @property
    def account(self) -> Principal:
        """Who opens a session. Raises `Unauthorized`: a session's own secret opens no other."""
        if self.principal is None:
            raise Unauthorized(
                f"{FAILED}: expected an API key or a token that is valid now; make a new one"
            )
        return self.principal


@dataclass(frozen=True, slots=True)
class Entrance:
    """A session, as far as who may enter it goes."""

    session_id: str
    account_id: str
    secret_hash: str | None
    token_id: str | None

    @classmethod
    def of_live(cls, session: Session) -> Self:
        setup, access = session.setup, session.setup.access
        return cls(setup.session_id, setup.account_id, access.secret_hash, access.token_id)

    @classmethod
    def of_stored(cls, record: SessionRecord) -> Self:
        return cls(record.id, record.account_id, record.secret_hash, record.token_id)

    def require(self, caller: Caller, resume_tokens: ResumeTokens) -> Rights:
        """What the caller may do in the session.

        Raises `Unauthorized`, and `Forbidden` for a valid credential that is not enough.
        """
        principal = caller.principal
        is_owner = principal is not None and principal.account_id == self.account_id
        if is_owner and caller.rights.has_key and principal is not None and principal.may(CONNECT):
            return caller.rights
        for proof in caller.proofs:
            if resume_tokens.is_for(proof, self.session_id, has_key=True):
                return Rights(has_key=True)
            if self._is_proof(proof, resume_tokens):
                return Rights(has_key=False)
        if principal is None:
            raise Unauthorized(
                f"{FAILED}: expected the websocket_url that session {self.session_id[:64]} was "
                "made with, its resume_token, or a key of its account; its id alone opens nothing"
            )
        if principal.account_id != self.account_id:
            raise Forbidden(f"session {self.session_id} belongs to another account")
        if principal.token is not None and principal.token.token_id != self.token_id:
            raise Forbidden(
                f"session {self.session_id} was not opened with this token; come back with the "
                "resume_token of its session.ready"
            )
        principal.require(CONNECT)
        return caller.rights

    def _is_proof(self, proof: str, resume_tokens: ResumeTokens) -> bool:
        if proof.startswith(RESUME_PREFIX):
            return resume_tokens.is_for(proof, self.session_id)
        return is_secret_of(proof, self.secret_hash)


async def identify_opener(
    services: Services, headers: Mapping[str, str], query: Mapping[str, str]
) -> Caller:
    """Who is at `/v1/ws`. A token past its time shows nothing of itself; its connection may still
    give a `resume_token`.

    Raises `Unauthorized` for no credential or a bad one, and `Forbidden`.
    """
    try:
        caller = await _shown(services, headers, query)
    except Unauthorized as error:
        if error.code == "token_expired":
            return Caller()
        raise Unauthorized(f"{FAILED}: {error.message}") from None
    if caller.principal is not None:
        caller.principal.require(CONNECT)
    return caller


async def identify_guest(
    services: Services, headers: Mapping[str, str], query: Mapping[str, str], secret: str | None
) -> Caller:
    """Who is at the address of one session. A bad credential is as good as none there."""
    try:
        caller = await _shown(services, headers, query)
    except (Unauthorized, Forbidden):
        caller = Caller()
    return caller.with_proof(secret)


async def _shown(
    services: Services, headers: Mapping[str, str], query: Mapping[str, str]
) -> Caller:
    """Raises `Unauthorized`."""
    token, authorization = query.get("token"), headers.get("authorization")
    refuse_keys_in(query)
    shown = token or credential_of(authorization)
    if shown.startswith((SESSION_PREFIX, RESUME_PREFIX)):
        return Caller(proofs=(shown,))
    principal = await identify(services, authorization, token=token)
    if principal.token is not None:
        require_origin(headers, principal.token.allowed_origins)
    return Caller(principal)


def require_origin(headers: Mapping[str, str], allowed: Sequence[str] | None) -> None:
    """Raises `Forbidden` for a page that is none of those allowed, and for what is no page."""
    origin = headers.get("origin")
    if not is_allowed_origin(origin, allowed):
        log.warning(
            "a page was refused: list its origin in the agent's, or the token's, allowed_origins",
            origin=origin and origin[:200],
            setting="allowed_origins",
        )
        raise Forbidden(
            f"expected a page of {', '.join(allowed or ()) or 'no origin'}, got "
            f"{origin[:200] if origin else 'a client without an Origin'}; connect from there, or "
            "with an API key"
        )
