"""Whose a phone number is: an account claims what it has proved, or what the operator gave it."""

from collections.abc import Iterable

from nur_server.api.services import Services
from nur_server.errors import Forbidden, NotFound
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.numbers import PhoneNumbers


async def require_claim(
    services: Services, account_id: str, numbers: Iterable[str], param: str
) -> None:
    """The default account is the operator's own. Raises `Forbidden` (`phone_number_not_proven`)."""
    if account_id == DEFAULT_ACCOUNT:
        return
    for number in numbers:
        if await services.calls.has_proven(account_id, number):
            continue
        if await _is_given(services, account_id, number):
            continue
        raise Forbidden(
            f"{param}: expected a number that the account has proved to be its own, got {number}; "
            "prove it with POST /v1/caller-ids, or ask the operator for it",
            code="phone_number_not_proven",
            param=param,
        )


async def _is_given(services: Services, account_id: str, number: str) -> bool:
    try:
        return (await PhoneNumbers(services.database, account_id).get(number)).is_imported
    except NotFound:
        return False
