"""Phone numbers that agents answer, and caller ids that calls may show."""

from nur.call import Call, path
from nur.objects import CallerId, Deleted, PhoneNumber
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing


def import_number(
    phone_number: str,
    *,
    agent_id: str | None = None,
    label: str | None = None,
    termination_uri: str | None = None,
) -> Call[PhoneNumber]:
    """Bring a number along. Raises `Conflict` where an account has it already.

    client.phone_numbers.create("+14155550123", agent_id=agent.id)
    """
    given = {"agent_id": agent_id, "label": label, "termination_uri": termination_uri}
    return Call(
        "POST",
        "/v1/phone-numbers",
        PhoneNumber.model_validate,
        body={
            "phone_number": phone_number,
            **{name: value for name, value in given.items() if value is not None},
        },
    )


def list_numbers(
    *, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> Listing[PhoneNumber]:
    """The account's numbers: those it has brought along, and those its agents name.

    for number in client.phone_numbers.list():
        print(number.phone_number, number.agent_id)
    """
    return Listing(
        "/v1/phone-numbers", PhoneNumber, {"limit": limit, "offset": offset, "cursor": cursor}
    )


def get_number(phone_number: str) -> Call[PhoneNumber]:
    """Read a number. Raises `NotFound`.

    print(client.phone_numbers.get("+14155550123").agent_id)
    """
    return Call("GET", path("/v1/phone-numbers/{}", phone_number), PhoneNumber.model_validate)


def assign_number(phone_number: str, *, agent_id: str) -> Call[PhoneNumber]:
    """Have an agent answer a number, instead of the one that did before.

    client.phone_numbers.assign("+14155550123", agent_id=agent.id)
    """
    return Call(
        "PUT",
        path("/v1/phone-numbers/{}/agent", phone_number),
        PhoneNumber.model_validate,
        body={"agent_id": agent_id},
    )


def unassign_number(phone_number: str) -> Call[PhoneNumber]:
    """Have nobody answer a number.

    client.phone_numbers.unassign("+14155550123")
    """
    return Call(
        "DELETE", path("/v1/phone-numbers/{}/agent", phone_number), PhoneNumber.model_validate
    )


def delete_number(phone_number: str) -> Call[Deleted]:
    """Give a number up; nobody answers it any more. Raises `NotFound`.

    client.phone_numbers.delete("+14155550123")
    """
    return Call("DELETE", path("/v1/phone-numbers/{}", phone_number), Deleted.model_validate)


# Caller ids


def create_caller_id(phone_number: str, *, from_number: str | None = None) -> Call[CallerId]:
    """Have a number called, which speaks a code; give it back with `verify`.

        client.caller_ids.create("+14155550123")
        client.caller_ids.verify("+14155550123", code=input("The code: "))

    Raises `RateLimited` right after another code for the number.
    """
    body = {"phone_number": phone_number}
    if from_number is not None:
        body["from_number"] = from_number
    return Call("POST", "/v1/caller-ids", CallerId.model_validate, body=body)


def verify_caller_id(phone_number: str, *, code: str) -> Call[CallerId]:
    """Prove that a number is yours. Raises `InvalidRequest` for a wrong or late code.

    client.caller_ids.verify("+14155550123", code="123456")
    """
    return Call(
        "POST",
        path("/v1/caller-ids/{}/verify", phone_number),
        CallerId.model_validate,
        body={"code": code},
    )


def list_caller_ids(
    *, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> Listing[CallerId]:
    """The account's caller ids, verified or not.

    for caller_id in client.caller_ids.list():
        print(caller_id.phone_number, caller_id.status)
    """
    return Listing("/v1/caller-ids", CallerId, {"limit": limit, "offset": offset, "cursor": cursor})


def get_caller_id(phone_number: str) -> Call[CallerId]:
    """Read a caller id. Raises `NotFound`.

    print(client.caller_ids.get("+14155550123").status)
    """
    return Call("GET", path("/v1/caller-ids/{}", phone_number), CallerId.model_validate)


def delete_caller_id(phone_number: str) -> Call[Deleted]:
    """Show a number no longer. Raises `NotFound`.

    client.caller_ids.delete("+14155550123")
    """
    return Call("DELETE", path("/v1/caller-ids/{}", phone_number), Deleted.model_validate)


class _PhoneNumberMethods:
    create = endpoint(import_number)
    list = listing(list_numbers)
    get = endpoint(get_number)
    assign = endpoint(assign_number)
    unassign = endpoint(unassign_number)
    delete = endpoint(delete_number)


class PhoneNumbers(SyncResource, _PhoneNumberMethods):
    """`client.phone_numbers`."""


class AsyncPhoneNumbers(AsyncResource, _PhoneNumberMethods):
    """`client.phone_numbers`, awaited."""


class _CallerIdMethods:
    create = endpoint(create_caller_id)
    verify = endpoint(verify_caller_id)
    list = listing(list_caller_ids)
    get = endpoint(get_caller_id)
    delete = endpoint(delete_caller_id)


class CallerIds(SyncResource, _CallerIdMethods):
    """`client.caller_ids`."""


class AsyncCallerIds(AsyncResource, _CallerIdMethods):
    """`client.caller_ids`, awaited."""
