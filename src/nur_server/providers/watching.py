"""Looks after the engines that the settings name: whether they can be used, which voices they have.

All of it happens in the background. Nobody waits for it, and what is not known yet is not told.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from nur_server.engine_settings import ModelKind
from nur_server.errors import NurError, ProviderError, ProviderTimeout
from nur_server.ports import EngineVoice
from nur_server.providers.checking import OTHERWISE, WHAT_IS_WRONG
from nur_server.providers.loading import Remote
from nur_server.redaction import redacted

LOOK_SECONDS = 30.0
"""Between two looks at every engine: as often as orchestrators ask for `/readyz`, or less."""
VOICES_SECONDS = 600.0
"""Between two looks at an engine's voices, which change when its server is changed."""
ENGINE_SECONDS = 5.0
"""Longest look at one engine; `checking.CHECK_SECONDS` is within it."""
AT_ONCE = 8
"""Engines looked at together."""
MAX_VOICES = 1_000
"""Voices of one engine that are listed."""
MAX_VOICE_NAME = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineState:
    """What is known of an engine."""

    kind: ModelKind
    name: str
    code: str | None = None
    """Why it cannot be used. None: it can, or nobody has looked yet."""
    is_known: bool = False
    """Whether somebody has looked."""

    @property
    def problem(self) -> str | None:
        """`code` in words that tell nothing of addresses."""
        return None if self.code is None else WHAT_IS_WRONG.get(self.code, OTHERWISE)


@dataclass(slots=True)
class EngineWatch:
    """The states and voices of `remotes`, as last seen."""

    remotes: Sequence[Remote]
    _codes: dict[int, str | None] = field(default_factory=dict)
    """By the index of the remote; None: it can be used."""
    _voices: dict[str, tuple[EngineVoice, ...]] = field(default_factory=dict)
    """By the engine's name; missing: not listed yet."""

    def states(self) -> list[EngineState]:
        """In the order of the settings."""
        return [
            EngineState(remote.kind, remote.name, self._codes.get(index), index in self._codes)
            for index, remote in enumerate(self.remotes)
        ]

    def state(self, kind: ModelKind, name: str) -> EngineState | None:
        """None: the engine is embedded."""
        named = (state for state in self.states() if (state.kind, state.name) == (kind, name))
        return next(named, None)

    def voices(self) -> Mapping[str, tuple[EngineVoice, ...]]:
        """Of each engine that has listed its voices."""
        return self._voices

    async def run(self, stopping: asyncio.Event) -> None:
        """Look, now and again, until `stopping`."""
        if not self.remotes:
            return
        loop = asyncio.get_running_loop()
        next_voices = loop.time()
        while not stopping.is_set():
            await self.look()
            if loop.time() >= next_voices or self._lacks_voices():
                await self.look_for_voices()
                next_voices = loop.time() + VOICES_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stopping.wait()

    async def look(self) -> None:
        """Check every engine once. Never raises."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for index, remote in enumerate(self.remotes):
                group.create_task(self._check(index, remote, slots))

    async def look_for_voices(self) -> None:
        """Ask every speech engine that can be used for its voices, once. Never raises."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for index, remote in enumerate(self.remotes):
                if remote.voices is not None and self._codes.get(index) is None:
                    group.create_task(self._list(remote, slots))

    def _lacks_voices(self) -> bool:
        return any(
            remote.voices is not None and remote.name not in self._voices
            for index, remote in enumerate(self.remotes)
            if self._codes.get(index) is None
        )

    async def _check(self, index: int, remote: Remote, slots: asyncio.Semaphore) -> None:
        if remote.check is None:
            return
        code, reason = None, ""
        try:
            async with slots, asyncio.timeout(ENGINE_SECONDS):
                await remote.check()
        except NurError as error:
            said = (
                f" It said: {error.said}" if isinstance(error, ProviderError) and error.said else ""
            )
            code, reason = error.code, error.message + said
        except TimeoutError:
            code, reason = ProviderTimeout.default_code, "the check did not end"
        except Exception as error:
            code, reason = "internal_error", type(error).__name__
        before = self._codes.get(index)
        self._codes[index] = code
        if code is not None and code != before:
            log.warning(
                "engine cannot be used",
                engine=remote.name,
                kind=remote.kind,
                address=remote.address,
                code=code,
                reason=redacted(reason),
            )
        elif code is None and before is not None:
            log.info("engine can be used again", engine=remote.name, kind=remote.kind)

    async def _list(self, remote: Remote, slots: asyncio.Semaphore) -> None:
        assert remote.voices is not None
        try:
            async with slots, asyncio.timeout(ENGINE_SECONDS):
                listed = await remote.voices()
        except (NurError, TimeoutError) as error:
            log.info("voices were not listed", engine=remote.name, error=type(error).__name__)
        except Exception as error:
            log.warning("voices were not listed", engine=remote.name, error=type(error).__name__)
        else:
            self._voices[remote.name] = tuple(_usable(listed))


def _usable(listed: Iterable[EngineVoice]) -> list[EngineVoice]:
    """Each voice once, those with names that an agent can give."""
    by_name = {
        voice.name: voice
        for voice in listed
        if 0 < len(voice.name) <= MAX_VOICE_NAME and voice.name.isprintable()
    }
    return list(by_name.values())[:MAX_VOICES]
