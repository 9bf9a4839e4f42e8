"""The one way to open a session: make engines and tools ready, begin it, attach its transport."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nur_server.opening.plan import SessionPlan, tool_endpoints, updated
from nur_server.opening.prepare import Identity, prepare
from nur_server.opening.toolbox import Toolbox
from nur_server.options import UNSET, SessionOptions
from nur_server.ports import Transport
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.http_tools import ToolEndpoint
from nur_server.session.live import LiveSessions
from nur_server.session.runner import Observer, Session
from nur_server.session.setup import SessionSetup

Adapt = Callable[[SessionSetup], SessionSetup]
"""Fits a session's settings to what its door can do: at the start, and at each update."""


def unchanged(setup: SessionSetup) -> SessionSetup:
    """The settings as they were prepared."""
    return setup


@dataclass(frozen=True, slots=True)
class Opener:
    """What opening a session takes. One for the server; every door uses it."""

    catalogue: Catalogue
    live: LiveSessions
    toolbox: Toolbox

    def prepare(
        self, plan: SessionPlan, identity: Identity, adapt: Adapt = unchanged
    ) -> "PreparedSession":
        """Check a plan before anybody is rung for it, and have its model loaded.

        Raises `InvalidRequest` for what it asks for and this server does not have.
        """
        self.check_tools(plan)
        setup = adapt(prepare(plan, identity, self.catalogue))
        endpoints = tool_endpoints(plan)
        self.catalogue.warm(setup.llm)
        return PreparedSession(self, plan, identity, adapt, setup, endpoints)

    async def open(
        self, plan: SessionPlan, identity: Identity, transport: Transport, adapt: Adapt = unchanged
    ) -> Session:
        """A session of this plan that talks over `transport`; it is ready when this returns.

        Raises as `prepare` and `PreparedSession.open` do.
        """
        return await self.prepare(plan, identity, adapt).open(transport)

    def check_tools(self, plan: SessionPlan) -> None:
        """Raise `InvalidRequest` for a client's tools that cannot be used.

        Tools of a stored agent were checked when it was stored; those of a client by `vet`, which
        its door has awaited, so that nothing is compiled here.
        """
        if plan.client_tools:
            self.toolbox.checks.check(plan.tools)


@dataclass(frozen=True, slots=True)
class PreparedSession:
    """A session that can be opened: its plan is checked, its engines and tools are found."""

    opener: Opener
    plan: SessionPlan
    identity: Identity
    adapt: Adapt
    setup: SessionSetup
    endpoints: Mapping[str, ToolEndpoint]

    async def open(self, transport: Transport, observers: Sequence[Observer] = ()) -> Session:
        """Begin the session over `transport`. Raises as `LiveSessions.start` does.

        A phone call has its place since it was dialled, or taken.
        """
        rate = transport.capabilities.output_rate
        toolbox, session_id = self.opener.toolbox, self.identity.session_id
        session = self.opener.live.start(
            _at_rate(self.setup, rate),
            self._configure(rate),
            was_admitted=transport.call_control is not None,
        )
        toolbox.open(session_id, self.endpoints)
        weakref.finalize(session, toolbox.close, session_id)
        for observer in observers:
            session.observe(observer)
        session.attach(transport)
        return session

    def _configure(
        self, rate: int | None
    ) -> Callable[[SessionOptions, tuple[str, ...]], SessionSetup]:
        opener, current = self.opener, self.plan

        def configure(options: SessionOptions, warnings: tuple[str, ...]) -> SessionSetup:
            nonlocal current
            changed = updated(current, options, warnings)
            if options.tools is not UNSET:
                opener.check_tools(changed)
            setup = self.adapt(prepare(changed, self.identity, opener.catalogue))
            if options.tools is not UNSET:
                endpoints = tool_endpoints(changed)
                opener.toolbox.open(self.identity.session_id, endpoints)
            current = changed
            return _at_rate(setup, rate)

        return configure


def _at_rate(setup: SessionSetup, rate: int | None) -> SessionSetup:
    """`setup` with the audio that the transport takes."""
    return setup if rate is None else replace(setup, output_rate=rate)
