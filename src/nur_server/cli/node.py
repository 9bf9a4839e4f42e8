"""A whole server, from its settings to an address that answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sized
from contextlib import asynccontextmanager

from fastapi import FastAPI

from nur_server.api.app import create_app
from nur_server.api.routes.browser_sessions import link_address
from nur_server.api.routes.web import has_pages
from nur_server.api.services import Services
from nur_server.cli import process, screen
from nur_server.cli.place import Place
from nur_server.cli.serving import Server
from nur_server.engine_settings import ModelKind
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.offline import NAME as OFFLINE
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.keys import EVERY_SCOPE, authenticate
from nur_server.store.records import NewKey
from nur_server.store.sign_ins import make_link

LOOK_SECONDS = 1.0
"""Between two looks whether sessions live."""


class Node:
    """A server whose engines are loaded and whose database is open."""

    def __init__(self, app: FastAPI, place: Place, is_new: bool) -> None:
        self._app = app
        self.place = place
        self.server = Server(app, place.settings)
        self.is_new = is_new
        """Whether this is the first start of its database."""

    @property
    def services(self) -> Services:
        services = self._app.state.services
        assert isinstance(services, Services)
        return services

    async def serve(self) -> None:
        """Until it is asked to stop and its live sessions are over."""
        await self.server.serve(sockets=[self.place.listener])

    async def valid_key(self) -> str | None:
        """The key kept in the data directory. None: there is none, or it is not valid any more."""
        key = self.place.home.key()
        if key is None or await authenticate(self.services.database, key) is None:
            return None
        return key

    async def any_key(self) -> str:
        """The key kept in the data directory, or else a new one, kept there."""
        key = await self.valid_key()
        if key is None:
            keys = self.services.keys(DEFAULT_ACCOUNT)
            key = (await keys.create("command line", [EVERY_SCOPE])).secret
            self.place.home.keep_key(key)
        return key

    async def introduce(self) -> None:
        """Tell the user where the server is and what it works with."""
        place = self.place
        screen.say(f"Nur is ready at {place.address}", "bold green")
        screen.facts(
            [
                ("Dashboard", self._dashboard_line()),
                ("API key", await self._key_line()),
                ("Hears with", _works_with(self.services.catalogue, "stt")),
                ("Speaks with", _works_with(self.services.catalogue, "tts")),
                ("Thinks with", _thinks_with(self.services.catalogue)),
                ("Data", str(place.settings.data_dir.absolute())),
                ("API", f"{place.address}/docs"),
            ]
        )
        await self._offer_sign_in()

    async def sign_in_link(self, place: str = "/") -> str | None:
        """An address that signs one browser in. None: there is no key to sign in as."""
        raw = self.place.home.key()
        key = None if raw is None else await authenticate(self.services.database, raw)
        if key is None:
            return None
        made = await make_link(self.services.database, key)
        return link_address(self.place.address, made.secret, place)

    def _dashboard_line(self) -> str:
        if not has_pages():
            return f"not built here; {self.place.address}/ says how"
        return f"{self.place.address}/  (`nur dashboard` prints a link that signs you in)"

    async def _offer_sign_in(self) -> None:
        """On a terminal alone: other output may be kept, and a link is as good as a key."""
        if screen.is_terminal() and has_pages():
            link = await self.sign_in_link()
            if link is not None:
                screen.say("Open the dashboard (this link works once, for ten minutes):", "bold")
                screen.say(link)

    async def _key_line(self) -> str:
        """The first key itself is shown once, on a terminal: elsewhere output is kept."""
        key, file = await self.valid_key(), self.place.home.key_file
        if key is None:
            return "make one with `nur keys create NAME`"
        if self.is_new and screen.is_terminal():
            return f"{key}  (kept in {file})"
        return f"in {file}"


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Node]:
    """A node, ready to serve; closed when the block is left.

    Raises `NurError` where the database cannot be used or the engines cannot be had.
    """
    made: list[NewKey] = []

    def keep(key: NewKey) -> None:
        place.home.keep_key(key.secret)
        made.append(key)

    app = create_app(place.settings, on_first_key=keep)
    async with app.router.lifespan_context(app), asyncio.TaskGroup() as group:
        node = Node(app, place, is_new=bool(made))
        giving_back = group.create_task(give_back_after_sessions(node.services.live))
        try:
            yield node
        finally:
            giving_back.cancel()


async def give_back_after_sessions(
    live: Sized, give_back: Callable[[], None] = process.give_back
) -> None:
    """Each time the last of the `live` sessions has ended, return its memory. Until cancelled."""
    was_busy = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        is_busy = len(live) > 0
        if was_busy and not is_busy:
            await asyncio.to_thread(give_back)
        was_busy = is_busy


def _default(catalogue: Catalogue, kind: ModelKind) -> str:
    return next(m.id for m in catalogue.models() if m.kind == kind and m.is_default)


def _works_with(catalogue: Catalogue, kind: ModelKind) -> str:
    """The default engine of a kind, and what is wrong with it, as far as that is known by now."""
    model = _default(catalogue, kind)
    states = catalogue.engine_states()
    problem = next((s.problem for s in states if (s.kind, s.name) == (kind, model)), None)
    return f"{model}, but {problem}" if problem else model


def _thinks_with(catalogue: Catalogue) -> str:
    model = _default(catalogue, "llm")
    if model == OFFLINE:
        return (
            "offline: no language model was found, so rules answer "
            "(start Ollama or llama.cpp, or set NUR_LLM_URL)"
        )
    found = catalogue.found
    return (
        f"{model}, found on {found.kind} at {found.base_url}"
        if found
        else _works_with(catalogue, "llm")
    )
