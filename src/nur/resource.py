"""One definition per endpoint, for the synchronous and the asynchronous client alike.

A pure function builds a `Call[T]`. A descriptor makes it a method of a resource: on a
`SyncResource` it returns `T`, on an `AsyncResource` it is awaited for `T`. Lists work the same
with `Listing[T]`, `Pager[T]` and `AsyncPager[T]`.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from nur.call import AsyncPerformer, Call, SyncPerformer
from nur.object import NurObject
from nur.pages import AsyncPager, Listing, Pager

T = TypeVar("T")
Item = TypeVar("Item", bound=NurObject)
P = ParamSpec("P")


class SyncResource:
    """A group of methods that block."""

    def __init__(self, client: SyncPerformer) -> None:
        self._client = client


class AsyncResource:
    """A group of methods to await."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client


class endpoint(Generic[P, T]):
    """Makes a method of a function that builds a `Call`."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: SyncResource, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, resource: SyncResource | AsyncResource | None, owner: type) -> Any:
        if resource is None:
            return self
        client = resource._client

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T | Awaitable[T]:
            return client.perform(self._build(*args, **kwargs))

        return method


class listing(Generic[P, Item]):
    """Makes a method of a function that builds a `Listing`."""

    def __init__(self, build: Callable[P, Listing[Item]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: SyncResource, owner: type) -> Callable[P, Pager[Item]]: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type) -> Callable[P, AsyncPager[Item]]: ...
    def __get__(self, resource: SyncResource | AsyncResource | None, owner: type) -> Any:
        if resource is None:
            return self

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Pager[Item] | AsyncPager[Item]:
            listing = self._build(*args, **kwargs)
            if isinstance(resource, SyncResource):
                return Pager(resource._client, listing)
            return AsyncPager(resource._client, listing)

        return method
