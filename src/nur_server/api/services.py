"""Everything a request may need, in one typed place."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from nur_server.api.media_tokens import MediaTokens
from nur_server.api.ratelimits import RateLimits
from nur_server.api.recordings import Links
from nur_server.api.tokens import ResumeTokens, Tokens
from nur_server.calls.service import CallService
from nur_server.calls.verification import Verification
from nur_server.clock import Clock
from nur_server.opening.sessions import Opener
from nur_server.opening.toolbox import Toolbox
from nur_server.providers.catalogue import Catalogue
from nur_server.session.live import LiveSessions
from nur_server.session.metrics import Metrics
from nur_server.settings import Settings
from nur_server.store.agents import Agents
from nur_server.store.analyses import Analyses
from nur_server.store.blobs import Blobs
from nur_server.store.engine import Database
from nur_server.store.idempotency import Idempotency
from nur_server.store.keys import Keys
from nur_server.store.recordings import Recordings
from nur_server.store.sessions import Sessions
from nur_server.store.turns import Turns
from nur_server.transports.carriers.adapter import CarrierEngine
from nur_server.transports.webrtc.hub import MediaHub


@dataclass(frozen=True, slots=True)
class Services:
    """What one running server is made of. Made by `app.create_app`, kept on `app.state`."""

    settings: Settings
    clock: Clock
    node_id: str
    """Names this server process in the records of its sessions."""
    database: Database
    catalogue: Catalogue
    live: LiveSessions
    toolbox: Toolbox
    opener: Opener
    tokens: Tokens
    resume_tokens: ResumeTokens
    rate_limits: RateLimits
    calls: CallService
    carrier: CarrierEngine | None
    """None: calls are simulated."""
    verification: Verification
    blobs: Blobs
    recording_links: Links
    metrics: Metrics
    media: MediaHub
    """Of browsers."""
    media_tokens: MediaTokens

    def agents(self, account_id: str) -> Agents:
        return Agents(self.database, account_id)

    def sessions(self, account_id: str) -> Sessions:
        return Sessions(self.database, account_id)

    def turns(self, account_id: str) -> Turns:
        return Turns(self.database, account_id)

    def analyses(self, account_id: str) -> Analyses:
        return Analyses(self.database, account_id)

    def recordings(self, account_id: str) -> Recordings:
        return Recordings(self.database, self.blobs, account_id)

    def keys(self, account_id: str) -> Keys:
        return Keys(self.database, account_id)

    def idempotency(self, account_id: str) -> Idempotency:
        return Idempotency(self.database, account_id)


def services_of(connection: HTTPConnection) -> Services:
    """The services behind a request or a socket."""
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services
