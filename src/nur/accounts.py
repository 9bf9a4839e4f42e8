"""Accounts, for the server's operator: the client's `api_key` is then its `NUR_OPERATOR_TOKEN`."""

from typing import Any

from nur.call import Call, path
from nur.objects import Account, Deleted, NewKey
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing

ACCOUNTS = "/v1/operator/accounts"
ACCOUNT = f"{ACCOUNTS}/{{}}"

_UNSET: Any = object()


def create_account(
    *, name: str, max_live_sessions: int | None = None, max_agents: int | None = None
) -> Call[Account]:
    """Make an account, with no key yet. Its repetition makes another account: after a
    `ConnectionFailed`, look at `client.accounts.list()` before another attempt.

        operator = NurClient(os.environ["NUR_OPERATOR_TOKEN"])
        account = operator.accounts.create(name="Bakery", max_live_sessions=20)
        key = operator.accounts.create_key(account.id).key
    """
    given = {"name": name, "max_live_sessions": max_live_sessions, "max_agents": max_agents}
    body = {field: value for field, value in given.items() if value is not None}
    return Call("POST", ACCOUNTS, Account.model_validate, body=body)


def list_accounts(
    *, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> Listing[Account]:
    """The server's accounts, newest first.

    for account in operator.accounts.list():
        print(account.name, account.suspended)
    """
    return Listing(ACCOUNTS, Account, {"limit": limit, "offset": offset, "cursor": cursor})


def get_account(account_id: str) -> Call[Account]:
    """Read an account. Raises `NotFound`.

    print(operator.accounts.get("acc_…").max_live_sessions)
    """
    return Call("GET", path(ACCOUNT, account_id), Account.model_validate)


def update_account(
    account_id: str,
    *,
    name: str = _UNSET,
    max_live_sessions: int | None = _UNSET,
    max_agents: int | None = _UNSET,
    suspended: bool = _UNSET,
) -> Call[Account]:
    """Change what is given. None lifts a limit. The keys of an account that is `suspended` open
    nothing, and its sessions end. Raises `NotFound`.

        operator.accounts.update("acc_…", max_live_sessions=None)
    """
    given = {
        "name": name,
        "max_live_sessions": max_live_sessions,
        "max_agents": max_agents,
        "suspended": suspended,
    }
    body = {field: value for field, value in given.items() if value is not _UNSET}
    return Call("PATCH", path(ACCOUNT, account_id), Account.model_validate, body=body)


def erase_account(account_id: str) -> Call[Deleted]:
    """Erase an account and everything of it for good, recordings included. Raises `NotFound`.

    operator.accounts.erase("acc_…")
    """
    return Call("DELETE", path(ACCOUNT, account_id), Deleted.model_validate)


def export_account(account_id: str) -> Call[bytes]:
    """Everything of an account as a ZIP file, recordings included. It is held in memory: for much
    of it use `nur accounts export` on the server. Raises `NotFound`.

        Path("bakery.zip").write_bytes(operator.accounts.export("acc_…"))
    """
    return Call("GET", path(f"{ACCOUNT}/export", account_id), bytes, is_binary=True)


def create_account_key(account_id: str, *, name: str | None = None) -> Call[NewKey]:
    """Make a key to everything in an account. Its secret is in `key`, this once. Raises
    `NotFound`.

        print(operator.accounts.create_key("acc_…", name="first").key)
    """
    body = {} if name is None else {"name": name}
    return Call("POST", path(f"{ACCOUNT}/keys", account_id), NewKey.model_validate, body=body)


def give_account_number(account_id: str, phone_number: str) -> Call[None]:
    """Give an account a phone number without its proof. Raises `NotFound`, and `Conflict` where it
    is another account's.

        operator.accounts.give_number("acc_…", "+14155550123")
    """
    where = path(f"{ACCOUNT}/phone-numbers/{{}}", account_id, phone_number)
    return Call("PUT", where, lambda _: None)


class _AccountMethods:
    create = endpoint(create_account)
    create_key = endpoint(create_account_key)
    erase = endpoint(erase_account)
    export = endpoint(export_account)
    get = endpoint(get_account)
    give_number = endpoint(give_account_number)
    list = listing(list_accounts)
    update = endpoint(update_account)


class Accounts(SyncResource, _AccountMethods):
    """`client.accounts`."""


class AsyncAccounts(AsyncResource, _AccountMethods):
    """`client.accounts`, awaited."""
