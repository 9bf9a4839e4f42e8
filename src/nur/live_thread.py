"""The blocking live session: an `AsyncLiveSession` on a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from nur.events import Event
from nur.live import AsyncLiveSession, LiveState

T = TypeVar("T")
P = ParamSpec("P")

STOP_SECONDS = 5.0
"""Longest wait for the thread to end."""


class LoopThread:
    """An event loop in a daemon thread, until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nur-live", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for its result. Interrupted, it is cancelled."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "expected a call from another thread; inside a coroutine tool, "
                "use AsyncNurClient or make the tool a plain function"
            )
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


class blocking(Generic[P, T]):
    """Makes a blocking method of a coroutine method of `AsyncLiveSession`."""

    def __init__(
        self, method: Callable[Concatenate[AsyncLiveSession, P], Coroutine[Any, Any, T]]
    ) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, live: None, owner: type) -> Self: ...
    @overload
    def __get__(self, live: "LiveSession", owner: type) -> Callable[P, T]: ...
    def __get__(self, live: "LiveSession | None", owner: type) -> Self | Callable[P, T]:
        if live is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return live._thread.call(self._method(live._session, *args, **kwargs))

        call.__doc__ = self.__doc__
        return call


class LiveSession:
    """A conversation in progress: `with client.sessions.connect(session) as live`.

        with client.sessions.connect(session, tools={"lookup_order": lookup_order}) as live:
            for event in live:
                match event:
                    case ReplyAudio(audio=pcm):
                        speaker.write(pcm)
                    case UserTranscript(text=text):
                        print("you:", text)

    Everything is as in `AsyncLiveSession`, and blocks. Audio is usually sent from a second
    thread: every method may be called from any thread.
    """

    def __init__(self, make: Callable[[], AsyncLiveSession]) -> None:
        self._make = make
        self._session: AsyncLiveSession
        self._thread: LoopThread

    @property
    def state(self) -> LiveState:
        """Connecting, ready, reconnecting or ended."""
        return self._session.state

    @property
    def session_id(self) -> str:
        """`ses_…`, from the server."""
        return self._session.session_id

    @property
    def config(self) -> dict[str, Any]:
        """The settings in force, as the server last told them."""
        return self._session.config

    @property
    def interrupted(self) -> bool:
        """Whether the last reply was cut off and no new one has begun.

        It is true as soon as the server says so, before the event is read: a player that polls it
        throws away what it has buffered.
        """
        return self._session.interrupted

    @property
    def ended_reason(self) -> str | None:
        """Why the session ended. None: it has not, or nobody said why."""
        return self._session.ended_reason

    @property
    def dropped_events(self) -> int:
        """Events thrown away because nobody read them."""
        return self._session.dropped_events

    @property
    def dropped_audio_seconds(self) -> float:
        """The user's audio thrown away while there was no connection."""
        return self._session.dropped_audio_seconds

    receive = blocking(AsyncLiveSession.receive)
    send_audio = blocking(AsyncLiveSession.send_audio)
    send_tool_result = blocking(AsyncLiveSession.send_tool_result)
    reply = blocking(AsyncLiveSession.reply)
    cancel_reply = blocking(AsyncLiveSession.cancel_reply)
    played = blocking(AsyncLiveSession.played)
    add_message = blocking(AsyncLiveSession.add_message)
    update = blocking(AsyncLiveSession.update)
    end = blocking(AsyncLiveSession.end)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.receive()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        self._thread = LoopThread()
        self._session = self._make()
        try:
            self._thread.call(self._session.__aenter__())
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._thread.call(self._session.__aexit__(kind, error, trace))
        finally:
            self._thread.close()
