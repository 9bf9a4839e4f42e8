"""The calls of this process: placed, received, ended, and accounted for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from nur_server.calls import states
from nur_server.calls.adapt import on_the_phone
from nur_server.calls.carriers import Carrier, Carriers
from nur_server.calls.numbers import is_fictional, read_number
from nur_server.calls.policy import CallPolicy, check_schedule
from nur_server.calls.progress import CallProgress
from nur_server.calls.supervisor import CallSupervisor
from nur_server.calls.tasks import AgentCall, CallTask, CallTimes
from nur_server.clock import Clock
from nur_server.conversation.events import EndedReason
from nur_server.errors import (
    Conflict,
    Forbidden,
    InternalError,
    InvalidRequest,
    NurError,
    ProviderRejected,
    Unavailable,
)
from nur_server.opening.plan import plan_for_agent
from nur_server.opening.prepare import Identity
from nur_server.opening.sessions import Opener
from nur_server.ports import CallObserver, InboundCall, TelephonyEngine
from nur_server.session.places import RETRY_SECONDS
from nur_server.store.accounts import DEFAULT_ACCOUNT, Accounts
from nur_server.store.agents import Agents
from nur_server.store.call_records import (
    CallFields,
    CallRecord,
    CallStatus,
    Direction,
    Usage,
)
from nur_server.store.calls import (
    Calls,
    OnStatus,
    ignore_status,
)
from nur_server.store.engine import Database
from nur_server.store.numbers import CallerIdRecord, CallerIds, find_route
from nur_server.store.records import AgentRecord, AgentStatus
from nur_server.store.sessions import Sessions

log = structlog.get_logger(__name__)

SIMULATED_CALLER = "+15550199"
"""Shown by simulated calls that name no caller id."""
INCOMING_SECONDS = 3600
"""Longest incoming call, unless its agent says otherwise."""
END_SECONDS = 10.0
"""Longest wait for a call to end once it was told to."""
SWEEP_SECONDS = 2.0
ORPHANS_EVERY = 15
"""Sweeps: half a minute from one look for calls that nobody follows to the next."""
"""Between two looks for calls that another node ended, or accepted and never placed."""
ADOPTED_AFTER = timedelta(seconds=5)
PLACED_WITHIN = timedelta(seconds=60)
"""A call to be placed at once is placed by then, or not at all."""
LOST = "call_lost"
"""`error_code` of a call whose server died."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call that came in and is waited for: its media goes to `progress`."""

    call: CallRecord
    progress: CallProgress


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that came in and is not taken."""

    reason: str
    """Machine-readable."""
    call_id: str | None = None
    """Its record. None: there is no account to keep one for."""


@dataclass(frozen=True, slots=True)
class _Followed:
    supervisor: CallSupervisor
    task: asyncio.Task[None]


class CallService:
    """For one event loop. `run` must be running; `drain` ends everything."""

    def __init__(
        self,
        *,
        database: Database,
        carriers: Carriers,
        opener: Opener,
        clock: Clock,
        node_id: str,
        policy: CallPolicy | None = None,
        times: CallTimes | None = None,
        on_status: OnStatus = ignore_status,
        max_calls: int = 200,
    ) -> None:
        """At most `max_calls` are under way at a time."""
        self.calls = Calls(database, on_status)
        self.policy = policy or CallPolicy()
        self._database = database
        self._carriers = carriers
        self._opener = opener
        self._clock = clock
        self._node_id = node_id
        self._times = times or CallTimes()
        self._max_calls = max_calls
        self._followed: dict[str, _Followed] = {}
        self._is_draining = False
        self._orphans: frozenset[str] = frozenset()
        """Calls of ours that nobody followed at the last look."""
        self._looks = 0

    def __len__(self) -> int:
        """Calls under way here."""
        return len(self._followed)

    @property
    def session_ids(self) -> frozenset[str]:
        """The sessions of the calls that are under way here."""
        return frozenset(each.supervisor.call.session_id for each in self._followed.values())

    def __contains__(self, call_id: str) -> bool:
        """Whether the call is under way here."""
        return call_id in self._followed

    @property
    def outbound(self) -> Carrier:
        """What calls go over."""
        return self._carriers.outbound

    # Placing

    async def dial(
        self,
        account_id: str,
        fields: CallFields,
        *,
        from_number: str | None,
        to_param: str = "to_number",
        from_param: str = "from_number",
    ) -> CallRecord:
        """Accept a call, and place it unless it is scheduled.

        `from_number` None: the account's first verified one. `fields.from_number` and `.engine`
        are filled in here. `to_param` and `from_param` are what the client calls the numbers.
        Raises `InvalidRequest` for a number, a caller id or a time that cannot be, `Forbidden`
        for a destination that is closed, `RateLimited` where the account may not place one more,
        `NotFound` and `Conflict` for the agent, `Unavailable` at capacity.
        """
        carrier = self.outbound
        self.check_destination(fields.to_number, to_param)
        shown = await self.caller_id(account_id, from_number, from_param)
        if fields.scheduled_at is not None:
            check_schedule(fields.scheduled_at, self._clock.now())
        else:
            self._require_room()
        accepted = await self.calls.create(
            account_id,
            replace(fields, from_number=shown, engine=carrier.engine.name),
            check=self._check_of(fields),
        )
        if accepted.status is CallStatus.INITIATING:
            try:
                await self.place(accepted.id)
            except Unavailable:
                log.warning("call.waits_for_room", call_id=accepted.id)
        return accepted

    async def dial_with(
        self, account_id: str, fields: CallFields, task: Callable[[CallRecord], CallTask]
    ) -> CallRecord:
        """Place a call with a task of its own, here and at once. Raises as `dial` does."""
        self._require_room()
        call = await self.calls.create(
            account_id,
            replace(fields, engine=self.outbound.engine.name),
            check=self.policy.check_usage,
            node_id=self._node_id,
        )

        async def given() -> CallTask:
            return task(call)

        self._follow(call, given)
        return call

    async def place(self, call_id: str) -> bool:
        """Place a call that was accepted, once, whoever asks and how often.

        False: it has been placed already, or is over. Raises `RateLimited` where the account has
        to wait, and `Unavailable` where this server has no room; the call then waits on.
        """
        self._require_room()
        call = await self.calls.claim(call_id, self._node_id, check=self.policy.check_usage)
        if call is None:
            return False
        self._follow(call, lambda: self._agent_call(call))
        return True

    async def reschedule(self, account_id: str, call_id: str, scheduled_at: datetime) -> CallRecord:
        """Move a scheduled call. Raises `NotFound`, `InvalidRequest`, and `Conflict` once it has
        begun."""
        found = await self.calls.get(account_id, call_id)
        check_schedule(scheduled_at, self._clock.now())
        moved = await self.calls.reschedule(account_id, found.id, scheduled_at)
        if moved is None:
            now = await self.calls.get(account_id, call_id)
            raise Conflict(
                f"expected a call that waits for its time, but {now.id} is {now.status}",
                code="call_not_scheduled",
            )
        return moved

    async def miss(self, call_id: str) -> bool:
        """A scheduled call was found too late to be placed. False: it is not scheduled."""
        ended = await self.calls.finish(
            call_id,
            CallStatus.FAILED,
            (CallStatus.SCHEDULED,),
            EndedReason.SCHEDULE_MISSED,
            error_code=EndedReason.SCHEDULE_MISSED.value,
            error_message="the server was not running at the scheduled time",
        )
        return ended is not None

    def _check_of(self, fields: CallFields) -> Callable[[Usage], None]:
        """A scheduled call is checked when its time has come."""
        return _unlimited if fields.scheduled_at is not None else self.policy.check_usage

    # Who may be called, and as whom

    def check_destination(self, to_number: str, param: str) -> None:
        """Raises `InvalidRequest` and `Forbidden`."""
        number = read_number(to_number, param)
        self.policy.check_destination(number, param, is_simulated=self.outbound.is_simulated)

    async def caller_id(
        self, account_id: str, wanted: str | None, param: str = "from_number"
    ) -> str:
        """The number to show. Raises `InvalidRequest` (`caller_id_not_verified`)."""
        own = await CallerIds(self._database, account_id).list()
        proven = [record.number for record in own if self._is_proof(record)]
        trusted = self.policy.trusted_caller_ids
        simulated = self.outbound.is_simulated
        if wanted is None:
            usual = [*proven, *sorted(trusted), *([SIMULATED_CALLER] if simulated else [])]
            if usual:
                return usual[0]
            raise InvalidRequest(
                f"{param}: expected a verified caller id, and the account has none; "
                "verify one with POST /v1/caller-ids",
                code="caller_id_missing",
                param=param,
            )
        read_number(wanted, param)
        if wanted in proven or wanted in trusted or (simulated and is_fictional(wanted)):
            return wanted
        raise InvalidRequest(
            f"{param}: expected a verified caller id, got {wanted}; "
            "verify it with POST /v1/caller-ids",
            code="caller_id_not_verified",
            param=param,
            details={"verified": proven},
        )

    async def has_proven(self, account_id: str, number: str) -> bool:
        """Whether the account has answered a call to the number, and given its code back."""
        own = await CallerIds(self._database, account_id).list()
        return any(record.number == number and self._is_proof(record) for record in own)

    def _is_proof(self, record: CallerIdRecord) -> bool:
        """What a simulated call proved holds for simulated calls alone."""
        if record.verified_at is None:
            return False
        over = self._carriers.get(record.verified_over or "")
        return self.outbound.is_simulated or over is None or not over.is_simulated

    def _check_transfer(self, to_number: str) -> None:
        try:
            self.check_destination(to_number, "to_number")
        except (InvalidRequest, Forbidden) as error:
            raise ProviderRejected(
                error.message, provider=self.outbound.engine.name, code=error.code
            ) from error

    # Receiving

    async def take(self, inbound: InboundCall) -> CallObserver | None:
        """A `ports.OnInbound`: what follows a call that has come in. None: it is refused."""
        outcome = await self.receive(
            inbound.engine.name,
            inbound.carrier_call_id,
            to_number=inbound.to_number,
            from_number=inbound.from_number,
        )
        return outcome.progress if isinstance(outcome, Incoming) else None

    async def receive(
        self, engine: str, carrier_call_id: str, *, to_number: str, from_number: str
    ) -> Incoming | Refusal:
        """A call has come in. Hearing of the same one again changes nothing."""
        known = await self.calls.find_at_carrier(engine, carrier_call_id)
        if known is not None:
            return self._known(known)
        route = await find_route(self._database, to_number)
        agent = None
        if route is not None and route.agent_id is not None:
            agent = await self._agent(route.account_id, route.agent_id)
        fields = CallFields(
            to_number=to_number,
            from_number=from_number[:40],
            engine=engine,
            agent_id=agent.id if agent else None,
            direction=Direction.INBOUND,
            max_duration_seconds=_longest(agent),
            carrier_call_id=carrier_call_id,
            config={"warnings": []},
        )
        problem = self._problem(route is not None, agent)
        if problem is None and route is not None:
            try:
                call = await self.calls.create(
                    route.account_id, fields, check=_unlimited, node_id=self._node_id
                )
            except Conflict as error:
                problem = error.code
            else:
                supervisor = self._follow(call, lambda: self._agent_call(call))
                return Incoming(call, supervisor.progress)
        account_id = route.account_id if route is not None else DEFAULT_ACCOUNT
        return await self._refuse(account_id, fields, problem or "refused")

    def _known(self, call: CallRecord) -> Incoming | Refusal:
        followed = self._followed.get(call.id)
        if followed is None:
            return Refusal(call.error_code or "call_over", call.id)
        return Incoming(call, followed.supervisor.progress)

    def _problem(self, has_owner: bool, agent: AgentRecord | None) -> str | None:
        if not has_owner:
            return "unknown_number"
        if agent is None:
            return "number_without_agent"
        if agent.status is AgentStatus.PAUSED:
            return "agent_paused"
        is_behind = self._opener.live.places.strain.reason is not None
        if self._is_draining or is_behind or len(self._followed) >= self._max_calls:
            return "at_capacity"
        return None

    async def _refuse(self, account_id: str, fields: CallFields, problem: str) -> Refusal:
        log.info("call.refused", to_number=fields.to_number, problem=problem)
        try:
            await Accounts(self._database).get(account_id)
            call = await self.calls.create(
                account_id, fields, check=_unlimited, node_id=self._node_id, needs_agent=False
            )
        except NurError:
            return Refusal(problem)
        await self.calls.finish(
            call.id,
            CallStatus.FAILED,
            states.sources(CallStatus.FAILED),
            EndedReason.REJECTED,
            error_code=problem,
            error_message=_PROBLEMS.get(problem),
        )
        return Refusal(problem, call.id)

    async def _agent(self, account_id: str, agent_id: str) -> AgentRecord | None:
        try:
            return await Agents(self._database, account_id).get(agent_id)
        except NurError:
            return None

    # Ending

    async def end(self, account_id: str, call_id: str) -> CallRecord:
        """End a call, or cancel it before it was answered; one that is over stays as it is.

        Returns once it is stored, or after `END_SECONDS`. Raises `NotFound`.
        """
        call = await self.calls.get(account_id, call_id)
        if call.is_over:
            return call
        followed = self._followed.get(call.id)
        if followed is not None:
            followed.supervisor.progress.want_end(EndedReason.CLIENT_ENDED)
            await asyncio.wait((followed.task,), timeout=END_SECONDS)
        else:
            await self._end_elsewhere(call)
        return await self.calls.get(account_id, call.id)

    async def _end_elsewhere(self, call: CallRecord) -> None:
        """The node that follows the call, where there is one, finds out in its next look."""
        canceled = await self.calls.finish(
            call.id, CallStatus.CANCELED, states.WAITING, EndedReason.CANCELED
        )
        if canceled is None:
            to = CallStatus.COMPLETED
            await self.calls.finish(call.id, to, states.sources(to), EndedReason.CLIENT_ENDED)

    # Running

    async def recover(self, node_id: str | None = None) -> int:
        """End what a node left under way when it died: this one, at its start, or another. How
        many there were.

        A call is not placed again: nobody knows how far it had got. One whose end waits to be
        written is left to that.
        """
        return await self._end_lost(await self._left_by(node_id or self._node_id))

    async def _end_lost(self, left: Sequence[CallRecord]) -> int:
        for call in left:
            carrier = self._carriers.get(call.engine)
            if carrier is not None and call.carrier_call_id is not None:
                await _hung_up(carrier.engine, call.carrier_call_id, self._times.hang_up)
            await self.calls.finish(
                call.id,
                CallStatus.FAILED,
                states.sources(CallStatus.FAILED),
                EndedReason.INTERNAL_ERROR,
                error_code=LOST,
                error_message="the server that held the call stopped unexpectedly",
            )
        return len(left)

    async def _left_by(self, node_id: str) -> list[CallRecord]:
        found = await self.calls.left_by(node_id)
        held = self._opener.live.writer.sessions | self.session_ids
        return [call for call in found if call.session_id not in held]

    async def _end_orphans(self) -> None:
        """Calls of ours that nobody follows, in two looks that are far enough apart for one that
        was only claimed to be followed by now."""
        self._looks += 1
        if self._looks % ORPHANS_EVERY:
            return
        found = await self._left_by(self._node_id)
        lost = [call for call in found if call.id in self._orphans]
        self._orphans = frozenset(call.id for call in found)
        if lost:
            log.error("call.orphans_ended", calls=await self._end_lost(lost))

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. What fails is tried again the next time."""
        while not stopping.is_set():
            try:
                await self._end_what_is_over()
                await self._adopt()
                await self._end_orphans()
            except NurError as error:
                log.warning("call sweep failed", code=error.code)
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await stopping.wait()

    async def _end_what_is_over(self) -> None:
        """Calls of ours that another node has ended."""
        for call_id in await self.calls.over_among(tuple(self._followed)):
            followed = self._followed.get(call_id)
            if followed is not None:
                followed.supervisor.progress.want_end(EndedReason.CLIENT_ENDED)

    async def _adopt(self) -> None:
        """Calls that were accepted by a node which died before it placed them."""
        if self._is_draining:
            return
        now = self._clock.now()
        for call_id in await self.calls.unclaimed(now - ADOPTED_AFTER):
            call = await self.calls.find(call_id)
            if call is not None and call.created_at >= now - PLACED_WITHIN:
                await self.place(call_id)
                continue
            await self.calls.finish(
                call_id,
                CallStatus.FAILED,
                states.WAITING,
                EndedReason.SCHEDULE_MISSED,
                error_code=LOST,
                error_message="no server was there to place the call",
            )

    async def drain(self, seconds: float) -> None:
        """Take no new calls and wait for those under way, at most so long; then end them."""
        self._is_draining = True
        await self._wait(seconds)
        for followed in self._followed.values():
            followed.supervisor.progress.want_end(EndedReason.SERVER_SHUTDOWN)
        await self._wait(END_SECONDS)
        for followed in list(self._followed.values()):
            followed.task.cancel()
        await self._wait(END_SECONDS)

    async def _wait(self, seconds: float) -> None:
        tasks = [followed.task for followed in self._followed.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _follow(self, call: CallRecord, task: Callable[[], Awaitable[CallTask]]) -> CallSupervisor:
        carrier = self._carriers[call.engine]
        later = self._opener.live.writer.open(call.session_id).call_changed
        supervisor = CallSupervisor(call, carrier.engine, self.calls, self._times, task, later)
        running = asyncio.create_task(self._run(supervisor), name=call.id)
        self._followed[call.id] = _Followed(supervisor, running)
        return supervisor

    async def _run(self, supervisor: CallSupervisor) -> None:
        call = supervisor.call
        try:
            await supervisor.run()
        except Exception:
            log.exception("call.lost", call_id=call.id)
        finally:
            self._followed.pop(call.id, None)

    async def _agent_call(self, call: CallRecord) -> CallTask:
        if call.agent_id is None:
            raise InternalError("a call without an agent cannot be talked on", code=LOST)
        agent = await Agents(self._database, call.account_id).get(call.agent_id)
        if agent.status is AgentStatus.PAUSED:
            raise Conflict(f"agent {agent.id} is paused", code="agent_paused")
        if call.scheduled_at is not None:
            # What was allowed when it was accepted may have been taken back since.
            await self.caller_id(call.account_id, call.from_number)
            self.check_destination(call.to_number, "to_number")
        session = await Sessions(self._database, call.account_id).get(call.session_id)
        is_outbound = call.direction is Direction.OUTBOUND
        prepared = self._opener.prepare(
            plan_for_agent(agent, session),
            Identity(call.account_id, call.session_id, is_outbound=is_outbound),
            partial(on_the_phone, call=call, check_transfer=self._check_transfer),
        )
        return AgentCall(prepared, self._clock, self._times, float(call.max_duration_seconds))

    def _require_room(self) -> None:
        if self._is_draining:
            raise Unavailable("the server is stopping; call again in a moment")
        if len(self._followed) >= self._max_calls:
            raise Unavailable(
                f"expected fewer than {self._max_calls} calls under way; all lines are taken, "
                "try again later or raise NUR_MAX_SESSIONS",
                code="at_capacity",
                retry_after_seconds=RETRY_SECONDS,
            )
        if (behind := self._opener.live.places.strain.reason) is not None:
            raise Unavailable(
                f"the server is busy with the calls in progress ({behind}); try again in a moment",
                code="at_capacity",
                retry_after_seconds=RETRY_SECONDS,
            )


_PROBLEMS = {
    "unknown_number": "no agent of this server answers the number",
    "number_without_agent": "the number has no agent; assign one to it",
    "agent_paused": "the agent that answers the number is paused",
    "at_capacity": "all lines of this server were taken",
}


def _unlimited(usage: Usage) -> None:
    """No cap holds."""


def _longest(agent: AgentRecord | None) -> int:
    longest = agent.settings.get("max_duration_seconds") if agent else None
    return int(longest or INCOMING_SECONDS)


async def _hung_up(engine: TelephonyEngine, carrier_call_id: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await engine.hang_up(carrier_call_id)
    except (TimeoutError, NurError) as error:
        log.warning("call.not_hung_up", error=type(error).__name__)
