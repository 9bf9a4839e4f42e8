"""API keys, and the short-lived tokens made with them."""

from collections.abc import Sequence

from nur.call import Call, path
from nur.objects import Key, NewKey, SignInLink, Token
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing


def create_key(
    *, name: str, scopes: Sequence[str] | None = None, expires_at: str | None = None
) -> Call[NewKey]:
    """Make a key. Its secret is in `key`, this once.

    `scopes` such as `agents:read`, by default those of the key that asks; `expires_at` in ISO 8601
    with a zone. Its repetition makes another key: after a `ConnectionFailed`, look at
    `client.keys.list()` before another attempt.

        print(client.keys.create(name="kiosk", scopes=["sessions:write"]).key)
    """
    given = {"name": name, "scopes": scopes, "expires_at": expires_at}
    body = {field: value for field, value in given.items() if value is not None}
    return Call("POST", "/v1/api-keys", NewKey.model_validate, body=body)


def list_keys(
    *, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> Listing[Key]:
    """The account's keys, without their secrets.

    for key in client.keys.list():
        print(key.prefix, key.last_used_at)
    """
    return Listing("/v1/api-keys", Key, {"limit": limit, "offset": offset, "cursor": cursor})


def get_key(key_id: str) -> Call[Key]:
    """Read a key, without its secret. Raises `NotFound`.

    print(client.keys.get("key_…").last_used_at)
    """
    return Call("GET", path("/v1/api-keys/{}", key_id), Key.model_validate)


def revoke_key(key_id: str) -> Call[Key]:
    """Make a key useless, at once and for good. Raises `NotFound`.

    client.keys.revoke("key_…")
    """
    return Call("DELETE", path("/v1/api-keys/{}", key_id), Key.model_validate)


def create_sign_in_link(*, next: str | None = None) -> Call[SignInLink]:
    """Make a link that signs one browser in to the dashboard, as this key, once, within minutes.

    `next`: where it leads, such as `/agents`.

        print(client.keys.sign_in_link().url)
    """
    body = {} if next is None else {"next": next}
    return Call("POST", "/v1/sign-in-links", SignInLink.model_validate, body=body)


def create_token(
    *,
    expires_in_seconds: int = 60,
    max_session_duration_seconds: int | None = None,
    max_live_sessions: int | None = None,
    agent_ids: Sequence[str] | None = None,
    allowed_origins: Sequence[str] | None = None,
) -> Call[Token]:
    """Make a token for a browser, which opens `/v1/ws?token=…` with it.

    `expires_in_seconds`: 1–600. `agent_ids`: it opens no other agents. `allowed_origins`: it works
    on these pages only.

        token = client.tokens.create(agent_ids=[agent.id]).token
    """
    given = {
        "expires_in_seconds": expires_in_seconds,
        "max_session_duration_seconds": max_session_duration_seconds,
        "max_live_sessions": max_live_sessions,
        "agent_ids": None if agent_ids is None else list(agent_ids),
        "allowed_origins": None if allowed_origins is None else list(allowed_origins),
    }
    body = {field: value for field, value in given.items() if value is not None}
    return Call("POST", "/v1/tokens", Token.model_validate, body=body)


class _KeyMethods:
    create = endpoint(create_key)
    get = endpoint(get_key)
    list = listing(list_keys)
    revoke = endpoint(revoke_key)
    sign_in_link = endpoint(create_sign_in_link)


class Keys(SyncResource, _KeyMethods):
    """`client.keys`."""


class AsyncKeys(AsyncResource, _KeyMethods):
    """`client.keys`, awaited."""


class _TokenMethods:
    create = endpoint(create_token)


class Tokens(SyncResource, _TokenMethods):
    """`client.tokens`."""


class AsyncTokens(AsyncResource, _TokenMethods):
    """`client.tokens`, awaited."""
