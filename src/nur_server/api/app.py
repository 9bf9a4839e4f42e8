"""The application: the only place where adapters are wired to what uses them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from nur_server import __version__
from nur_server.api import errors, logs
from nur_server.api import recordings as recording_links
from nur_server.api.cors import PageOrigins
from nur_server.api.idempotency import HEADER, REPLAYED
from nur_server.api.media import media_settings
from nur_server.api.media_tokens import PURPOSE as MEDIA_TOKENS
from nur_server.api.media_tokens import MediaTokens
from nur_server.api.middleware import REQUEST_ID, BoundedBody, LastResort, RequestContext
from nur_server.api.ratelimits import RATE_LIMITS, RateLimits
from nur_server.api.routes import (
    agents,
    browser_sessions,
    calls,
    carriers,
    docs,
    health,
    keys,
    livekit,
    metrics,
    models,
    numbers,
    openai_realtime,
    operator,
    realtime,
    recordings,
    sessions,
    tokens,
    voice,
    voices,
    web,
    webhooks,
    webrtc,
)
from nur_server.api.services import Services
from nur_server.api.telemetry import CountedRequests, Traces, open_traces
from nur_server.api.tokens import PURPOSE, ResumeTokens, Tokens
from nur_server.api.upkeep import count, count_call, sweep
from nur_server.calls.carriers import Carriers
from nur_server.calls.policy import CallPolicy
from nur_server.calls.service import CallService
from nur_server.calls.tasks import CallTimes
from nur_server.calls.verification import PURPOSE as CALLER_IDS
from nur_server.calls.verification import Verification
from nur_server.clock import Clock, SystemClock
from nur_server.cluster.bus import bus_of
from nur_server.cluster.sessions import FleetSessions
from nur_server.errors import Unavailable
from nur_server.ids import new_id
from nur_server.jobs.post_call import PostCall
from nur_server.jobs.scheduled_calls import ScheduledCalls
from nur_server.jobs.work import Times, Work
from nur_server.opening.sessions import Opener
from nur_server.opening.toolbox import Toolbox
from nur_server.ports import DialRequest, OnInbound
from nur_server.providers.catalogue import Catalogue
from nur_server.session.live import LAST_WRITES_SECONDS, LiveSessions
from nur_server.session.metrics import Metrics
from nur_server.session.places import (
    MAX_RECOGNITIONS,
    MAX_WRITES,
    Bounds,
    Gauge,
    Places,
    Strain,
)
from nur_server.session.recorder import Recorders
from nur_server.session.writer import Writer
from nur_server.settings import Settings, unknown_settings
from nur_server.store import outbox
from nur_server.store.blobs import Blobs, open_blobs
from nur_server.store.engine import Database
from nur_server.store.keys import ensure_first_key
from nur_server.store.ratelimits import shared_counts
from nur_server.store.recordings import RecordingArchive
from nur_server.store.records import NewKey
from nur_server.store.sessions import end_lost_sessions
from nur_server.store.signing import signing_secret
from nur_server.store.sink import StoreSink
from nur_server.transports.carriers.adapter import CarrierEngine
from nur_server.transports.carriers.vendors import carrier_client, configured_carrier
from nur_server.transports.loopback import LoopbackCall, LoopbackEngine, Script, callee_of
from nur_server.transports.webrtc.hub import MediaHub

PREFIXES = ("/v1", "/api/v1")
"""Where the API is served; the document describes the first."""
CALLEE_VOICE = "rowan"
"""Of whoever picks up over the simulated carrier."""
UNWRITTEN = "unwritten"
"""The folder in the data directory where what sessions leave behind waits for the database."""
RECOVER_SECONDS = 30.0
"""Longest wait at the start for what an earlier process has left there: some ten thousand turns.
The rest follows while the server runs."""
CLOSE_SECONDS = 5.0
"""Longest wait for one part to stop; after it, the next is stopped all the same."""
DESCRIPTION = """\
Store an agent, open a session with it, talk to it over the session's `websocket_url`.

Every error has the same body; `X-Request-ID` names the request in the server's log. Every write
takes an `Idempotency-Key`, whose answer is given again for 24 hours. Fields that do not exist are
refused. `X-RateLimit-*` say what is left of the key's allowance.
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Telephony:
    """How calls are made."""

    policy: CallPolicy | None = None
    """None: as the settings say."""
    times: CallTimes = field(default_factory=CallTimes)
    callee: Callable[[DialRequest], Script] = callee_of
    """Who is at a number, over the simulated carrier."""
    on_loopback_call: Callable[[LoopbackCall], None] | None = None
    """Is shown every simulated call."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the maker of the application has brought along."""

    catalogue: Catalogue | None
    rate_limits: RateLimits
    telephony: Telephony
    work_times: Times | None
    metrics: Metrics


def create_app(
    settings: Settings,
    *,
    catalogue: Catalogue | None = None,
    clock: Clock | None = None,
    rate_limits: Mapping[str, str] = RATE_LIMITS,
    on_first_key: Callable[[NewKey], None] | None = None,
    telephony: Telephony | None = None,
    work_times: Times | None = None,
) -> FastAPI:
    """A server that is ready once its lifespan has begun.

    `catalogue`: engines to use, closed by the caller; None loads what `settings` name.
    `telephony`: how calls are made, where that differs from the usual.
    `work_times`: how patient its durable work is, where that differs from the usual.
    `on_first_key` is given the key that the first start of a database makes, to show it; without
    it none is made. Beginning the lifespan raises `NurError` where the database cannot be used.
    """
    logs.configure(settings)
    clock = clock or SystemClock()
    counted = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for unknown in unknown_settings(settings):
            log.warning("unknown setting", name=unknown.name, did_you_mean=unknown.meant)
        async with AsyncExitStack() as stack:
            database = await _open_database(stack, settings, clock)
            if on_first_key is not None and (first := await ensure_first_key(database)):
                on_first_key(first)
            allowances = RateLimits(clock, rate_limits, await shared_counts(database))
            given = Given(catalogue, allowances, telephony or Telephony(), work_times, counted)
            services = await _start(stack, settings, clock, database, given)
            app.state.services = services
            app.state.carrier_engine = services.carrier
            stopping = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(sweep(services, stopping), name="sweep")
                keeping = recording_links.keep_recordings(
                    database, services.blobs, services.node_id, stopping
                )
                group.create_task(keeping, name="recordings")
                watching = group.create_task(counted.watch_loop(clock), name="event loop lag")
                strain = services.live.places.strain.watch(clock)
                straining = group.create_task(strain, name="strain")
                group.create_task(services.calls.run(stopping), name="calls")
                group.create_task(services.catalogue.watch(stopping), name="engines")
                try:
                    yield
                finally:
                    watching.cancel()
                    straining.cancel()
                    stopping.set()

    app = FastAPI(
        title="Nur",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        middleware=_middleware(settings, clock, counted),
    )
    errors.install(app)
    web.install(app)
    app.include_router(docs.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(voice.router)
    app.include_router(recordings.voice)
    app.include_router(livekit.router)
    app.include_router(web.router)
    for prefix in PREFIXES:
        app.include_router(_versioned(), prefix=prefix, include_in_schema=prefix == PREFIXES[0])
    return app


def database_url(settings: Settings) -> str:
    """The address of the database the settings name."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{(settings.data_dir / 'nur.db').absolute()}"


def _versioned() -> APIRouter:
    router = APIRouter()
    for module in (
        agents, sessions, calls, numbers, webhooks, voices, models, keys, tokens, browser_sessions,
        realtime, webrtc, openai_realtime, operator,
    ):  # fmt: skip
        router.include_router(module.router)
    router.include_router(voice.widget)
    router.include_router(voice.widget_sessions)
    router.include_router(carriers.router)
    router.include_router(recordings.router)
    router.include_router(recordings.links)
    return router


def _operation_id(route: APIRoute) -> str:
    return route.name


def _middleware(settings: Settings, clock: Clock, counted: Metrics) -> list[Middleware]:
    """From the outermost in."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", HEADER, REQUEST_ID],
        expose_headers=[
            REQUEST_ID,
            REPLAYED,
            "Retry-After",
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
        ],
        max_age=600,
    )
    return [
        Middleware(RequestContext, clock=clock),
        Middleware(CountedRequests, metrics=counted, clock=clock),
        Middleware(PageOrigins, origins=settings.cors_origins),
        *([cors] if settings.cors_origins else []),
        Middleware(LastResort),
        Middleware(BoundedBody, max_bytes=settings.max_body_bytes),
    ]


# Start and stop


async def _open_database(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Database:
    database = await Database.open(database_url(settings), clock=clock)
    stack.push_async_callback(_bounded, "database", database.close)
    stack.enter_context(database.claimed())
    await database.migrate()
    await outbox.prepare(database)
    return database


async def _start(
    stack: AsyncExitStack,
    settings: Settings,
    clock: Clock,
    database: Database,
    given: Given,
) -> Services:
    """Everything that runs. `stack` stops it, in reverse."""
    node_id = await asyncio.to_thread(_node_id, settings.data_dir)
    writer = Writer(
        StoreSink(database, node_id, partial(count_call, given.metrics)),
        clock,
        settings.data_dir / UNWRITTEN,
    )
    await writer.recover(RECOVER_SECONDS)
    lost = await end_lost_sessions(database, node_id, but=writer.sessions)
    if lost:
        log.warning("ended sessions that were live when this node died", sessions=lost)
    catalogue = given.catalogue or await Catalogue.load(settings)
    if given.catalogue is None:
        stack.push_async_callback(_bounded, "catalogue", catalogue.close)
    catalogue.warm(catalogue.language_model().engine)
    toolbox = Toolbox(clock, allow_private=settings.allow_private_urls)
    stack.push_async_callback(_bounded, "tools", toolbox.stop)
    blobs = open_blobs(recording_links.blobs_url(settings))
    await _check_blobs(blobs)
    recorders = Recorders(RecordingArchive(database, blobs, node_id), clock)
    stack.push_async_callback(_bounded, "recordings", recorders.close)
    live = FleetSessions(
        database=database,
        node_id=node_id,
        bus=bus_of(database),
        vad=catalogue.vad,
        turn_model=catalogue.turn_model,
        tool_server=toolbox.server,
        writer=writer,
        clock=clock,
        resume_seconds=settings.resume_seconds,
        places=_places(settings, catalogue, writer),
        recorders=recorders,
        metrics=given.metrics,
        tracer=_open_traces(stack, settings, node_id, clock),
    )
    count(given.metrics, live, recorders)
    opener = Opener(catalogue, live, toolbox)
    simulated = _loopback(catalogue, given.telephony)
    stack.push_async_callback(_bounded, "simulated calls", simulated.close)
    carriers = Carriers()
    carriers.add(simulated, is_simulated=True)
    call_service = CallService(
        database=database,
        opener=opener,
        carriers=carriers,
        clock=clock,
        node_id=node_id,
        policy=given.telephony.policy or CallPolicy.of(settings),
        times=given.telephony.times,
        on_status=partial(count_call, given.metrics),
        max_calls=settings.max_sessions,
    )
    carrier = _open_carrier(stack, settings, clock, call_service.take)
    if carrier is not None:
        carriers.add(carrier)
    if left := await call_service.recover():
        log.warning("ended calls that were under way when this node died", calls=left)
    await _start_work(stack, settings, clock, database, node_id, catalogue, call_service, given)
    await live.start_watching()
    stack.push_async_callback(_bounded, "wishes of other nodes", live.stop_watching)
    media = MediaHub(media_settings(settings), partial(_count_packets, given.metrics))
    given.metrics.media_connections.set_function(lambda: len(media))
    stack.push_async_callback(_bounded, "media in browsers", media.close)
    drain = partial(_drain, live, call_service, settings.drain_seconds)
    stack.push_async_callback(
        _bounded, "live sessions", drain, 6 * CLOSE_SECONDS + settings.drain_seconds
    )
    secret = await signing_secret(database, PURPOSE)
    return Services(
        settings=settings,
        clock=clock,
        node_id=node_id,
        database=database,
        catalogue=catalogue,
        live=live,
        toolbox=toolbox,
        opener=opener,
        tokens=Tokens(secret, clock, single_use=settings.single_use_tokens),
        resume_tokens=ResumeTokens(),
        rate_limits=given.rate_limits,
        calls=call_service,
        carrier=carrier,
        verification=await _verification(database, catalogue, call_service, clock),
        blobs=blobs,
        recording_links=recording_links.Links(
            await signing_secret(database, recording_links.PURPOSE), clock, blobs
        ),
        metrics=given.metrics,
        media=media,
        media_tokens=MediaTokens(await signing_secret(database, MEDIA_TOKENS), clock),
    )


def _count_packets(metrics: Metrics, received: int, lost: int) -> None:
    metrics.media_packets.labels("received").inc(received)
    metrics.media_packets.labels("lost").inc(lost)


async def _check_blobs(blobs: Blobs) -> None:
    """Raises `Unavailable` where recordings can never be kept. Where they cannot for the moment,
    the server starts: most calls are not recorded, and what is kept meanwhile may be found again.
    """
    try:
        await blobs.check()
    except Unavailable as error:
        if error.code != "blobs_unreachable":
            raise
        log.warning("recordings cannot be kept for the moment", reason=error.message)


async def _start_work(
    stack: AsyncExitStack,
    settings: Settings,
    clock: Clock,
    database: Database,
    node_id: str,
    catalogue: Catalogue,
    calls: CallService,
    given: Given,
) -> None:
    """What must be done even if this server dies; stopped once no session lives."""
    work = Work(
        database,
        node_id,
        clock,
        allow_private=settings.allow_private_urls,
        runs_jobs=settings.run_jobs,
        scheduled_calls=ScheduledCalls(
            calls.calls, clock, place_call=calls.place, miss_call=calls.miss
        ),
        post_call=PostCall(database, catalogue),
        on_lost=(calls.recover,),
        times=given.work_times,
    )
    await work.start()
    stack.push_async_callback(_bounded, "durable work", work.stop, 4 * CLOSE_SECONDS)


def _open_traces(
    stack: AsyncExitStack, settings: Settings, node_id: str, clock: Clock
) -> Traces | None:
    if settings.otlp_endpoint is None:
        return None
    traces = open_traces(str(settings.otlp_endpoint), node_id, clock)
    stop = partial(asyncio.to_thread, traces.stop)
    stack.push_async_callback(_bounded, "traces", stop)
    return traces


def _open_carrier(
    stack: AsyncExitStack, settings: Settings, clock: Clock, on_inbound: OnInbound
) -> CarrierEngine | None:
    """Raises `InvalidRequest` that says which setting is missing or wrong."""
    client = carrier_client()
    stack.push_async_callback(_bounded, "carrier", client.aclose)
    vendor = configured_carrier(settings, client, clock)
    if vendor is None:
        return None
    return CarrierEngine(vendor, str(settings.public_url), clock, on_inbound)


def _loopback(catalogue: Catalogue, telephony: Telephony) -> LoopbackEngine:
    tts = catalogue.text_to_speech().engine
    voice = catalogue.engine_voice(catalogue.voice(CALLEE_VOICE), tts)
    return LoopbackEngine(tts, voice, callee=telephony.callee, on_call=telephony.on_loopback_call)


async def _verification(
    database: Database, catalogue: Catalogue, calls: CallService, clock: Clock
) -> Verification:
    tts = catalogue.text_to_speech().engine
    voice = catalogue.engine_voice(catalogue.voice(), tts)
    secret = await signing_secret(database, CALLER_IDS)
    return Verification(database, calls, tts, voice, clock, secret)


def _places(settings: Settings, catalogue: Catalogue, writer: Writer) -> Places:
    bounds = Bounds(settings.max_sessions, settings.max_account_sessions, settings.max_key_sessions)
    waiting = [
        Gauge("speech waits for the recogniser", lambda: catalogue.recognitions, MAX_RECOGNITIONS),
        Gauge("writes wait for the database", lambda: writer.waiting, MAX_WRITES),
    ]
    return Places(bounds, Strain(waiting))


async def _drain(live: LiveSessions, calls: CallService, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(live.drain(seconds))
        group.create_task(calls.drain(seconds))
    await live.writer.close(LAST_WRITES_SECONDS)


async def _bounded(
    part: str, stop: Callable[[], Awaitable[None]], seconds: float = CLOSE_SECONDS
) -> None:
    """Stop a part, and go on where it does not."""
    try:
        async with asyncio.timeout(seconds):
            await stop()
    except TimeoutError:
        log.warning("did not stop in time", part=part, seconds=seconds)


def _node_id(data_dir: Path) -> str:
    """This node's name: the same after a restart, so that it finds what it left behind."""
    path = data_dir / "node-id"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(new_id("node"))
    return path.read_text().strip()
