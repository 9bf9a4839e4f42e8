"""`/v1/phone-numbers` and `/v1/caller-ids`: the numbers that are answered, and those shown."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request

from nur_server.api.auth import Principal, require
from nur_server.api.call_bodies import AssignmentBody, CallerIdBody, CodeBody, PhoneNumberBody
from nur_server.api.call_objects import (
    CallerIdList,
    CallerIdObject,
    DeletedNumber,
    PhoneNumberList,
    PhoneNumberObject,
    caller_id_object,
    phone_number_object,
)
from nur_server.api.claims import require_claim
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute, keep_nothing
from nur_server.api.paging import WindowOf, envelope, page_of
from nur_server.api.services import Services, services_of
from nur_server.calls.numbers import read_number
from nur_server.store.numbers import CallerIds, PhoneNumbers

router = APIRouter(tags=["Phone numbers"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("calls:read")]
Writer = Annotated[Principal, require("calls:write")]
Verifier = Annotated[Principal, require("calls:write", group="caller-ids")]
PhoneNumber = Annotated[
    str, Path(max_length=20, description="E.164; the `+` may be written as `%2B`.")
]


@router.post(
    "/phone-numbers", status_code=201, name="import_phone_number", responses=declared(404, 409)
)
@router.post(
    "/phone-numbers/import",
    status_code=201,
    name="import_phone_number_by_verb",
    responses=declared(404, 409),
)
async def create(body: PhoneNumberBody, server: Server, principal: Writer) -> PhoneNumberObject:
    """Bring a number along. Calls to it are answered by its agent. Both addresses do the same."""
    read_number(body.phone_number, "phone_number")
    await require_claim(server, principal.account_id, [body.phone_number], "phone_number")
    made = await _numbers(server, principal).create(
        body.phone_number,
        label=body.label,
        termination_uri=body.termination_uri,
        agent_id=body.agent_id,
    )
    return phone_number_object(made)


@router.get("/phone-numbers", name="list_phone_numbers", responses=declared())
async def list_all(window: WindowOf, server: Server, principal: Reader) -> PhoneNumberList:
    """The account's numbers: those it has brought along, and those its agents name."""
    page = page_of(await _numbers(server, principal).list(), window)
    fields = envelope(page, window, phone_number_object)
    return PhoneNumberList(**fields, phone_numbers=fields["data"])


@router.get("/phone-numbers/{phone_number}", name="get_phone_number", responses=declared(404))
async def read(phone_number: PhoneNumber, server: Server, principal: Reader) -> PhoneNumberObject:
    """One number."""
    return phone_number_object(await _numbers(server, principal).get(phone_number))


@router.delete("/phone-numbers/{phone_number}", name="delete_phone_number", responses=declared(404))
async def delete(phone_number: PhoneNumber, server: Server, principal: Writer) -> DeletedNumber:
    """Give a number up. Nobody answers it any more."""
    await _numbers(server, principal).delete(phone_number)
    return DeletedNumber(id=phone_number)


@router.put(
    "/phone-numbers/{phone_number}/agent", name="assign_phone_number", responses=declared(404)
)
async def assign(
    phone_number: PhoneNumber, body: AssignmentBody, server: Server, principal: Writer
) -> PhoneNumberObject:
    """Have an agent answer a number, instead of the one that did before."""
    return phone_number_object(
        await _numbers(server, principal).assign(phone_number, body.agent_id)
    )


@router.delete(
    "/phone-numbers/{phone_number}/agent", name="unassign_phone_number", responses=declared(404)
)
async def unassign(
    phone_number: PhoneNumber, server: Server, principal: Writer
) -> PhoneNumberObject:
    """Have nobody answer a number."""
    return phone_number_object(await _numbers(server, principal).assign(phone_number, None))


# Caller ids


@router.post("/caller-ids", status_code=201, name="create_caller_id", responses=declared())
async def begin(
    body: CallerIdBody, request: Request, server: Server, principal: Verifier
) -> CallerIdObject:
    """Call a number to speak a code of six digits; give it back to show the number from then on.

    Over the simulated carrier the code is in the answer, as nobody hears the call.
    """
    keep_nothing(request)
    challenge = await server.verification.begin(
        principal.account_id, body.phone_number, from_number=body.from_number
    )
    return caller_id_object(challenge.caller_id, server.clock, challenge.code)


@router.post("/caller-ids/{phone_number}/verify", name="verify_caller_id", responses=declared(404))
async def verify(
    phone_number: PhoneNumber, body: CodeBody, server: Server, principal: Writer
) -> CallerIdObject:
    """Prove that the number is yours with the code that the call has spoken."""
    verified = await server.verification.finish(principal.account_id, phone_number, body.code)
    return caller_id_object(verified, server.clock)


@router.get("/caller-ids", name="list_caller_ids", responses=declared())
async def list_shown(window: WindowOf, server: Server, principal: Reader) -> CallerIdList:
    """The account's caller ids, verified or not."""
    page = page_of(await _caller_ids(server, principal).list(), window)
    fields = envelope(page, window, lambda record: caller_id_object(record, server.clock))
    return CallerIdList(**fields, caller_ids=fields["data"])


@router.get("/caller-ids/{phone_number}", name="get_caller_id", responses=declared(404))
async def read_shown(
    phone_number: PhoneNumber, server: Server, principal: Reader
) -> CallerIdObject:
    """One caller id."""
    record = await _caller_ids(server, principal).get(phone_number)
    return caller_id_object(record, server.clock)


@router.delete("/caller-ids/{phone_number}", name="delete_caller_id", responses=declared(404))
async def delete_shown(
    phone_number: PhoneNumber, server: Server, principal: Writer
) -> DeletedNumber:
    """Show a number no longer."""
    await _caller_ids(server, principal).delete(phone_number)
    return DeletedNumber(id=phone_number)


def _numbers(server: Services, principal: Principal) -> PhoneNumbers:
    return PhoneNumbers(server.database, principal.account_id)


def _caller_ids(server: Services, principal: Principal) -> CallerIds:
    return CallerIds(server.database, principal.account_id)
