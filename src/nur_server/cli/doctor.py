"""`nur doctor`: what this machine has, what is missing, and the command that mends it."""

import asyncio
import importlib.util
import platform
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from nur_server import __version__
from nur_server.api.recordings import blobs_url
from nur_server.cli import screen, serving
from nur_server.cli.database import opened
from nur_server.cli.home import Home
from nur_server.engine_settings import EngineSettings, ModelKind
from nur_server.errors import NurError, ProviderError
from nur_server.ports import SpeakRequest
from nur_server.providers import flite, voices, weights
from nur_server.providers.checking import KEY_REFUSED, MODEL_NOT_LISTED, WRONG_ADDRESS
from nur_server.providers.discovery import discover
from nur_server.providers.espeak import Espeak
from nur_server.providers.http import model_client
from nur_server.providers.loading import configured, fallback_of
from nur_server.providers.plugins import build
from nur_server.redaction import redacted, secrets_of
from nur_server.settings import Settings, unknown_settings
from nur_server.store.blobs import open_blobs
from nur_server.transports.webrtc.hub import INSTALL, missing_packages

ANSWER_SECONDS = 4.0
"""Longest wait for an engine; `checking.CHECK_SECONDS` is within it."""


class State(StrEnum):
    GOOD = "ok"
    OPTIONAL = "--"
    """Missing, and it works without."""
    BAD = "!!"
    """Missing, and it does not work without."""


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    what: str
    remedy: str = ""


def run(settings: Settings) -> int:
    """Print every finding; 1 where something is missing that is needed."""
    findings = serving.run(_examine(settings))
    secrets = secrets_of(settings)
    for finding in findings:
        screen.out.print(_line(finding, secrets))
    bad = [finding for finding in findings if finding.state is State.BAD]
    screen.say()
    if bad:
        screen.say(f"Needed: {', '.join(finding.name for finding in bad)}", "bold red")
        return 1
    screen.say("Everything that is needed is there", "bold green")
    return 0


_STYLES = {State.GOOD: "green", State.OPTIONAL: "yellow", State.BAD: "bold red"}


def _line(finding: Finding, secrets: Collection[str]) -> Text:
    """A report is for showing around: it holds no password and no key, whoever wrote them in."""
    remedy = redacted(f" → {finding.remedy}" if finding.remedy else "", secrets)
    head = (f"{finding.state:<3}", _STYLES[finding.state]), f"{finding.name:<18} "
    return Text.assemble(*head, redacted(finding.what, secrets), (remedy, "dim"))


async def _examine(settings: Settings) -> list[Finding]:
    return [
        _software(),
        *_unknown_settings(settings),
        *_weights(settings),
        await _flite(),
        await _espeak(),
        _voices(),
        *await _models(settings),
        await _database(settings),
        await _recordings(settings),
        _server(settings),
        _microphone(),
        _browsers(),
    ]


def _software() -> Finding:
    what = f"{__version__} on Python {platform.python_version()}, {platform.platform()}"
    return Finding("Nur", State.GOOD, what)


def _unknown_settings(settings: Settings) -> list[Finding]:
    remedy = "correct its name, or take it away"
    return [
        Finding("setting", State.OPTIONAL, str(unknown), remedy)
        for unknown in unknown_settings(settings)
    ]


def _weights(settings: Settings) -> list[Finding]:
    return [_model(settings, model) for model in weights.MODELS.values()]


def _model(settings: Settings, model: weights.Weights) -> Finding:
    if weights.is_there(settings.models_dir, model.name):
        return Finding(model.name, State.GOOD, f"speech model, in {settings.models_dir}")
    command = f"{screen.program()} models pull"
    if model.pack is None:
        return Finding(model.name, State.BAD, "speech model, not fetched yet", command)
    adds = f"not fetched: {weights.PACKS[model.pack]}"
    return Finding(model.name, State.OPTIONAL, adds, f"{command} {model.pack}")


async def _flite() -> Finding:
    if await asyncio.to_thread(flite.available):
        return Finding("flite", State.GOOD, "speaks English")
    return Finding(
        "flite",
        State.OPTIONAL,
        "not on this machine: espeak-ng speaks English too, less naturally",
        "apt-get install libflite1, or your system's flite",
    )


async def _espeak() -> Finding:
    engine = Espeak()
    try:
        async for _ in engine.speak(SpeakRequest("Hello.", "en-us")):
            break
    except ProviderError as error:
        state = State.OPTIONAL if await asyncio.to_thread(flite.available) else State.BAD
        return Finding("espeak-ng", state, error.message, "pip install espeakng-loader")
    finally:
        await engine.close()
    return Finding("espeak-ng", State.GOOD, "speaks many languages, in a process of its own")


def _voices() -> Finding:
    languages = {voice.language.partition("-")[0] for voice in voices.VOICES.values()}
    what = f"{len(voices.VOICES)} in {len(languages)} languages, {len(voices.ALIASES)} more names"
    return Finding("voices", State.GOOD, what)


async def _models(settings: Settings) -> list[Finding]:
    """The engines that the settings name, and the language model where they name none."""
    rows = configured(settings)
    if settings.llm_fallback_url is not None or settings.llm_fallback_model is not None:
        rows.append(fallback_of(settings))
    findings = await asyncio.gather(*(_asked(row) for row in rows))
    return [*([] if settings.has_engine("llm") else [await _found_model(settings)]), *findings]


async def _found_model(settings: Settings) -> Finding:
    found = await discover(own_port=settings.port) if settings.discover_models else None
    if found is not None:
        best = found.best(settings.llm_model)
        what = f"{best}, found on {found.kind} at {found.base_url}"
        return Finding(_KINDS["llm"], State.GOOD, what)
    return Finding(
        _KINDS["llm"],
        State.OPTIONAL,
        "none: rules answer, from the agent's prompt",
        "start Ollama or llama.cpp, or set NUR_LLM_URL",
    )


_KINDS: Mapping[ModelKind, str] = {
    "stt": "speech to text",
    "llm": "language model",
    "tts": "text to speech",
}
_REMEDIES = {
    KEY_REFUSED: "set its key, or correct it",
    MODEL_NOT_LISTED: "name one of its models",
    WRONG_ADDRESS: "correct its address: up to and including /v1",
    "invalid_setting": "correct NUR_ENGINES",
}


async def _asked(row: EngineSettings) -> Finding:
    """Whether an engine of the settings can be used."""
    name = _KINDS[row.kind]
    label = f"{row.name} at {row.url}" if row.url is not None else f"{row.name} ({row.type})"
    try:
        async with asyncio.timeout(ANSWER_SECONDS), AsyncExitStack() as stack:
            client = await stack.enter_async_context(model_client(ANSWER_SECONDS))
            built = build(row, client, ANSWER_SECONDS)
            if built.close is not None:
                stack.push_async_callback(built.close)
            if built.check is not None:
                await built.check()
    except (NurError, TimeoutError, OSError) as error:
        remedy = _REMEDIES.get(getattr(error, "code", ""), "start it, or correct its address")
        return Finding(name, State.BAD, f"{label}: {_told(error)}", remedy)
    if built.check is None:
        return Finding(name, State.GOOD, f"{label}; whether it works cannot be asked")
    return Finding(name, State.GOOD, label)


def _told(error: NurError | TimeoutError | OSError) -> str:
    """What is wrong, in the server's own words too: the operator may read them."""
    if not isinstance(error, NurError):
        return "no answer in time" if isinstance(error, TimeoutError) else str(error)
    said = error.said if isinstance(error, ProviderError) else ""
    return f"{error.message} It said: {said}" if said else error.message


async def _database(settings: Settings) -> Finding:
    try:
        async with opened(settings):
            pass
    except NurError as error:
        return Finding("database", State.BAD, error.message)
    kind = "SQLite" if settings.database_url is None else "as NUR_DATABASE_URL says"
    return Finding("database", State.GOOD, f"{kind}, data in {settings.data_dir.absolute()}")


async def _recordings(settings: Settings) -> Finding:
    try:
        await open_blobs(blobs_url(settings)).check()
    except NurError as error:
        return Finding("recordings", State.BAD, error.message)
    where = "in the data directory" if settings.blobs_url is None else "where NUR_BLOBS_URL says"
    return Finding("recordings", State.GOOD, f"kept {where}")


def _server(settings: Settings) -> Finding:
    address = Home(settings.data_dir).server_address()
    if address is None:
        what = "does not run from this data directory"
        return Finding("server", State.OPTIONAL, what, f"{screen.program()} serve")
    return Finding("server", State.GOOD, f"runs at {address}")


def _microphone() -> Finding:
    with suppress(OSError):
        if importlib.util.find_spec("sounddevice") is not None:
            import sounddevice

            if any(device["max_input_channels"] for device in sounddevice.query_devices()):
                return Finding("microphone", State.GOOD, "for --mic")
            return Finding("microphone", State.OPTIONAL, "this machine has none: no --mic")
    return Finding(
        "microphone",
        State.OPTIONAL,
        "cannot be used: no --mic",
        "pip install sounddevice (Debian: apt-get install libportaudio2)",
    )


def _browsers() -> Finding:
    missing = missing_packages()
    if missing:
        what = f"no WebRTC: {', '.join(missing)} not installed; browsers talk over WebSockets"
        return Finding("browsers", State.OPTIONAL, what, INSTALL)
    try:
        from nur_server.transports.webrtc.reactor import shared_factory

        shared_factory()
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("browsers", State.BAD, f"WebRTC cannot be used: {error}", INSTALL)
    return Finding("browsers", State.GOOD, "talk over WebRTC")
