"""Lists that span pages: iterate over all of it, or take one page at a time."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, Field

from nur.call import AsyncPerformer, Call, SyncPerformer
from nur.object import NurObject

Item = TypeVar("Item", bound=NurObject)


class Page(NurObject, Generic[Item]):
    """Some of a list.

    page = client.agents.list(limit=10).page()
    print(len(page.data), "of", page.total)
    """

    model_config = ConfigDict(extra="ignore")

    data: list[Item] = Field(default_factory=list)
    total: int | None = None
    """How many there are on all pages, where the server counts them."""
    limit: int | None = None
    offset: int | None = None
    has_more: bool = False
    next_cursor: str | None = None
    """Give it as `cursor` to start with the next page. None: this is the last."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """Which list to read, and what is in it."""

    path: str
    item: type[Item]
    query: Mapping[str, Any] = field(default_factory=dict)

    def call(self) -> Call[Page[Item]]:
        """The request for one page."""
        return Call("GET", self.path, Page[self.item].model_validate, query=self.query)  # type: ignore[name-defined]

    def after(self, page: Page[Item]) -> "Listing[Item] | None":
        """Where to go on. None: `page` was the last, or the server repeats itself."""
        cursor = page.next_cursor
        if not page.has_more or not cursor or cursor == self.query.get("cursor"):
            return None
        return replace(self, query={**self.query, "cursor": cursor, "offset": None})


class Pager(Generic[Item]):
    """All items of a list. Pages are fetched as the loop reaches them.

    for agent in client.agents.list():
        print(agent.name)
    """

    def __init__(self, client: SyncPerformer, listing: Listing[Item]) -> None:
        self._client = client
        self._listing = listing

    def page(self) -> Page[Item]:
        """The first page alone."""
        return self._client.perform(self._listing.call())

    def pages(self) -> Iterator[Page[Item]]:
        """Page after page."""
        listing: Listing[Item] | None = self._listing
        while listing is not None:
            page = self._client.perform(listing.call())
            yield page
            listing = listing.after(page)

    def __iter__(self) -> Iterator[Item]:
        for page in self.pages():
            yield from page.data


class AsyncPager(Generic[Item]):
    """All items of a list. Pages are fetched as the loop reaches them.

    async for agent in client.agents.list():
        print(agent.name)
    """

    def __init__(self, client: AsyncPerformer, listing: Listing[Item]) -> None:
        self._client = client
        self._listing = listing

    async def page(self) -> Page[Item]:
        """The first page alone."""
        return await self._client.perform(self._listing.call())

    async def pages(self) -> AsyncIterator[Page[Item]]:
        """Page after page."""
        listing: Listing[Item] | None = self._listing
        while listing is not None:
            page = await self._client.perform(listing.call())
            yield page
            listing = listing.after(page)

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.data:
                yield item
