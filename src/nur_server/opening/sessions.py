"""The one way to open a session: make engines and tools ready, begin it, attach its transport."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass

from nur_server.opening.plan import SessionPlan, tool_endpoints, updated
from nur_server.opening.prepare import Identity, prepare
from nur_server.opening.toolbox import Toolbox
from nur_server.options import UNSET, SessionOptions
from nur_server.ports import Transport
from nur_server.providers.catalogue import Catalogue
from nur_server.session.live import LiveSessions
from nur_server.session.runner import Configure, Session
from nur_server.session.setup import SessionSetup


@dataclass(frozen=True, slots=True)
class Opener:
    """What opening a session takes. One for the server; every door uses it."""

    catalogue: Catalogue
    live: LiveSessions
    toolbox: Toolbox
    allow_private_urls: bool

    async def open(
        self,
        plan: SessionPlan,
        identity: Identity,
        transport: Transport,
        adapt: Callable[[SessionSetup], SessionSetup] = lambda setup: setup,
    ) -> Session:
        """A session of this plan that talks over `transport`; it is ready when this returns.

        `adapt` fits the settings to what the door can do, now and at each update. Raises
        `InvalidRequest` for what the plan asks for and this server does not have, and as
        `LiveSessions.start` does.
        """
        self._check(plan)
        setup = adapt(prepare(plan, identity, self.catalogue))
        endpoints = tool_endpoints(plan, allow_private=self.allow_private_urls)
        session = self.live.start(setup, self._configure(plan, identity, adapt))
        self.toolbox.open(identity.session_id, endpoints)
        weakref.finalize(session, self.toolbox.close, identity.session_id)
        session.attach(transport)
        return session

    def _check(self, plan: SessionPlan) -> None:
        """Tools of a stored agent were checked when it was stored; those of a client by `vet`,
        which its door has awaited, so that nothing is compiled here."""
        if plan.client_tools:
            self.toolbox.checks.check(plan.tools)

    def _configure(
        self,
        plan: SessionPlan,
        identity: Identity,
        adapt: Callable[[SessionSetup], SessionSetup],
    ) -> Configure:
        current = plan

        def configure(options: SessionOptions, warnings: tuple[str, ...]) -> SessionSetup:
            nonlocal current
            changed = updated(current, options, warnings)
            if options.tools is not UNSET:
                self._check(changed)
            setup = adapt(prepare(changed, identity, self.catalogue))
            if options.tools is not UNSET:
                endpoints = tool_endpoints(changed, allow_private=self.allow_private_urls)
                self.toolbox.open(identity.session_id, endpoints)
            current = changed
            return setup

        return configure
