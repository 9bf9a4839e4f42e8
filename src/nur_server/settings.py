"""The server's settings: the only place that reads the environment.

Every setting is an environment variable with the prefix `NUR_`, or a line of `.env` in the working
directory. `docs/configuration.md` lists them.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nur_server.engine_settings import EngineSettings, ModelKind, read_engines

CacheDir = Path("~/.cache/nur")
CarrierName = Literal["twilio", "telnyx", "plivo", "vonage"]


PREFIX = "NUR_"
ENV_FILE = ".env"
NEAR = 0.75
"""Share of letters, 0–1, that two names have in common where one is taken for the other misspelt
(`difflib.SequenceMatcher.ratio`): 0.97 where `NUR_MAX_SESSIONS` lacks a letter, 0.85 where
`NUR_LLM_API_KEY` lacks a word."""
OF_CLIENTS = ("NUR_API_KEY", "NUR_BASE_URL")
"""Variables that the SDK and the commands that talk to a server read."""


class IceServerSettings(BaseModel):
    """A STUN or TURN server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: tuple[str, ...] = Field(min_length=1)
    username: str = ""
    credential: SecretStr = SecretStr("")

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _known_schemes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.fullmatch(r"(?:stuns?|turns?):[^\s]{1,300}", url):
                raise ValueError(
                    f"expected stun:, stuns:, turn: or turns: and a host, such as "
                    f"turn:turn.example.com:3478; got {url[:100]!r}"
                )
        return value


class Settings(BaseSettings):
    """Raises `pydantic.ValidationError` for a value that cannot be used."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore", frozen=True
    )

    # Where it listens

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    """0 picks a free port."""
    public_url: HttpUrl | None = None
    """Base of every address handed out. None: built from the request, with its proxy headers."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses whose `X-Forwarded-*` headers are believed, comma-separated; `*` for any."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the API, comma-separated."""

    # What it keeps

    data_dir: Path = Path("nur-data")
    database_url: SecretStr | None = None
    """`postgresql://…` or `sqlite:///…`. None: `nur.db` in the data directory."""
    models_dir: Path = CacheDir / "models"
    """Where downloaded speech models are cached."""
    blobs_url: SecretStr | None = None
    """Where recordings are kept: `file:///folder` or `s3://bucket/prefix`. None: the data
    directory."""

    # Models by address

    llm_url: HttpUrl | None = None
    """Base of an OpenAI-compatible chat server, up to and including `/v1`."""
    llm_model: str = "qwen3.5-4b"
    """Its model id."""
    llm_api_key: SecretStr | None = None
    llm_fallback_url: HttpUrl | None = None
    """A second chat server, asked when the first fails before anything was spoken."""
    llm_fallback_model: str | None = None
    llm_fallback_api_key: SecretStr | None = None
    stt_url: HttpUrl | None = None
    """Base of a speech-to-text server, up to and including `/v1`."""
    stt_model: str = "voxtral-realtime"
    stt_api_key: SecretStr | None = None
    stt_realtime: bool = True
    """Whether `stt_url` speaks the vLLM realtime socket; else it is asked for transcriptions."""
    tts_url: HttpUrl | None = None
    """Base of an OpenAI-compatible speech server, up to and including `/v1`."""
    tts_model: str = "qwen3-tts"
    tts_voice: str | None = None
    """A voice of that server for every voice id. None: each voice's own mapping."""
    tts_api_key: SecretStr | None = None
    engines: Annotated[tuple[EngineSettings, ...], NoDecode] = ()
    """Further engines, several of a kind: JSON, or the path of a `.toml` or `.json` file."""
    discover_models: bool = True
    """Look for a running Ollama or llama.cpp server on this machine when no chat server is set."""
    strict_models: bool = False
    """Refuse a known model whose server is not configured, rather than use the default."""
    model_timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for the next piece of a model's answer."""
    warm_models: bool = True
    """Ask a language model for one token at the start and when a session opens, so that it is
    loaded before somebody waits for it."""

    # Limits

    max_sessions: int = Field(default=200, ge=1)
    """Live sessions in this process."""
    max_account_sessions: int | None = Field(default=None, ge=1)
    """Live sessions of one account in this process. None: as many as there are places."""
    max_key_sessions: int | None = Field(default=None, ge=1)
    """Live sessions that one API key made, itself or through browser tokens, in this process. None:
    as many as there are places."""
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    max_frame_bytes: int = Field(default=1_048_576, ge=1024)
    realtime_agent: str | None = None
    """The agent, by its id or name, that clients of OpenAI's Realtime protocol talk to whose
    `model` names no agent. None: they bring the whole configuration."""
    session_ttl_seconds: int = Field(default=3600, ge=60)
    """How long a session's `websocket_url` is valid."""
    resume_seconds: float = Field(default=30.0, ge=0)
    """How long a dropped connection may come back."""
    allow_private_urls: bool = False
    """Let `tool_url`, tool `http` blocks and webhooks reach private addresses."""
    single_use_tokens: bool = False
    revoking_ends_sessions: bool = True
    """Whether revoking a key ends the live sessions that it made, itself or through a token."""
    drain_seconds: float = Field(default=30.0, ge=0)
    """How long a stopping server waits for live sessions."""

    # Media in browsers

    webrtc_ports: str | None = None
    """The ports that media uses, `40000-40199`: UDP, and TCP where that is on. None: any free."""
    webrtc_tcp: bool = True
    """Offer media over TCP too, for networks that carry no UDP."""
    webrtc_public_ip: str | None = None
    """The IP address to offer instead of this machine's own: behind a NAT, in a container."""
    webrtc_ice_servers: Annotated[tuple[IceServerSettings, ...], NoDecode] = ()
    """STUN and TURN servers for both ends: addresses, comma-separated, or JSON with `urls`,
    `username` and `credential`."""

    # Durable work

    run_jobs: bool = True
    """Deliver webhooks and place scheduled calls in this process. Off: other nodes do."""

    # Calls

    call_countries: Annotated[tuple[str, ...], NoDecode] = ()
    """Where calls may go: ISO 3166-1 alpha-2, comma-separated; `*` for any. None: the usual ones,
    `calls.policy.USUAL_COUNTRIES`."""
    call_premium: bool = False
    """Let calls go to premium-rate numbers."""
    call_satellite: bool = False
    """Let calls go to satellite numbers and others of no country."""
    calls_per_second: int = Field(default=5, ge=1)
    """Calls an account may place in a second."""
    calls_at_a_time: int = Field(default=50, ge=1)
    """Outbound calls an account may have under way."""
    call_minutes_per_day: int = Field(default=3_000, ge=1)
    """Minutes of outbound calls an account may begin in a day, UTC: what it can cost at most."""
    caller_ids: Annotated[tuple[str, ...], NoDecode] = ()
    """Numbers that every account may show without verifying them, comma-separated, E.164."""

    # The phone carrier

    carrier: CarrierName | None = None
    """None: calls are simulated."""
    carrier_account: str | None = None
    """Twilio's account SID, Telnyx's connection id, Plivo's auth id, Vonage's application id."""
    carrier_token: SecretStr | None = None
    """Twilio's and Plivo's auth token, Telnyx's API key, Vonage's signature secret."""
    carrier_public_key: str | None = None
    """Telnyx's, that its reports are signed with: base64."""
    carrier_private_key: SecretStr | None = None
    """Vonage's, of the application: PEM."""
    carrier_api_url: HttpUrl | None = None
    """Base of the carrier's REST interface. None: its usual one."""

    # Logs

    log_level: str = "info"
    log_format: str = "console"
    """`console` or `json`."""
    log_pii: bool = False
    """Keep what callers said in debug logs."""

    # The operator

    operator_token: SecretStr | None = Field(default=None, min_length=32)
    """What the operator's API asks for, as a Bearer token. None: it is closed."""

    # Figures

    metrics_token: SecretStr | None = None
    """Asked for by `/metrics`, as a Bearer token. None: anybody may read it."""
    otlp_endpoint: HttpUrl | None = None
    """Base of an OpenTelemetry collector that takes traces over HTTP. None: no traces."""

    @field_validator("cors_origins", "call_countries", "caller_ids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("webrtc_ice_servers", mode="before")
    @classmethod
    def _read_ice_servers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.strip().startswith(("[", "{")):
            try:
                read = json.loads(value)
            except ValueError as error:
                raise ValueError(f"expected addresses or JSON; got no JSON: {error}") from None
            return read if isinstance(read, list) else [read]
        return [{"urls": part.strip()} for part in value.split(",") if part.strip()]

    @field_validator("webrtc_ports")
    @classmethod
    def _range_of_ports(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", value)
        if not found or not 1024 <= int(found[1]) <= int(found[2]) <= 65535:
            raise ValueError(
                f"expected two ports from 1024 to 65535, such as 40000-40199; got {value!r}"
            )
        return value

    @field_validator("webrtc_public_ip")
    @classmethod
    def _whole_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ip_address(value)
            except ValueError:
                raise ValueError(
                    f"expected an IP address, such as 203.0.113.7, not a name; got {value!r}"
                ) from None
        return value

    @field_validator("engines", mode="before")
    @classmethod
    def _read_engines(cls, value: Any) -> Any:
        if not isinstance(value, str | list | tuple):
            return value
        given = value if isinstance(value, str) else list(value)
        return read_engines(given, {**dotenv_values(ENV_FILE), **os.environ})

    @field_validator("data_dir", "models_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("call_countries")
    @classmethod
    def _known_countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            if code != "*" and not re.fullmatch(r"[A-Za-z]{2}", code):
                raise ValueError(f"expected codes of two letters such as US, or *; got {code!r}")
        return tuple(code.upper() for code in value)

    @field_validator("caller_ids")
    @classmethod
    def _whole_numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number in value:
            if not re.fullmatch(r"\+[1-9]\d{6,14}", number, re.ASCII):
                raise ValueError(f"expected numbers in E.164, such as +14155550123; got {number!r}")
        return value

    @field_validator("carrier", mode="before")
    @classmethod
    def _known_carrier(cls, value: object) -> object:
        names = get_args(CarrierName)
        if value is not None and value not in names:
            raise ValueError(f"expected one of {', '.join(names)}; got {value!r}")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        levels = ("debug", "info", "warning", "error")
        if value.lower() not in levels:
            raise ValueError(f"expected one of {', '.join(levels)}; got {value!r}")
        return value.lower()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in ("console", "json"):
            raise ValueError(f"expected console or json; got {value!r}")
        return value

    def has_engine(self, kind: ModelKind) -> bool:
        """Whether a model server, or an engine of another package, is set for this kind."""
        url = {"stt": self.stt_url, "llm": self.llm_url, "tts": self.tts_url}[kind]
        return url is not None or any(engine.kind == kind for engine in self.engines)

    @model_validator(mode="after")
    def _fallback_has_url(self) -> Self:
        if self.llm_fallback_model and not (self.llm_fallback_url or self.llm_url):
            raise ValueError("NUR_LLM_FALLBACK_MODEL needs NUR_LLM_FALLBACK_URL or NUR_LLM_URL")
        return self


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A variable that looks like a setting, and is none: it changes nothing."""

    name: str
    meant: str | None
    """The setting whose name is nearest. None: none is near."""

    def __str__(self) -> str:
        hint = f"did you mean {self.meant}?" if self.meant else "docs/configuration.md lists them"
        return f"{self.name} is no setting of Nur and changes nothing; {hint}"


def unknown_settings(
    settings: Settings, names: Iterable[str] | None = None
) -> list[UnknownSetting]:
    """Those among the `names` of variables; None: of the environment and of `.env`.

    A variable that an engine of the settings names for its key is known.
    """
    if names is None:
        names = [*os.environ, *dotenv_values(ENV_FILE, interpolate=False)]
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    keys = {engine.key_env for engine in settings.engines}
    found = []
    for name in dict.fromkeys(names):
        written = re.sub(r"[^A-Z0-9]+", "_", name.upper())
        if name in keys or (written == name.upper() and written in (*known, *OF_CLIENTS)):
            continue
        meant = _meant(written, known)
        if written.startswith(PREFIX) or (written.startswith("NUR") and meant is not None):
            found.append(UnknownSetting(name, meant))
    return sorted(found, key=lambda unknown: unknown.name)


def _meant(written: str, known: Iterable[str]) -> str | None:
    """The setting of the same words in another order, or else of nearly the same letters."""
    words = sorted(written.split("_"))
    reordered = next((name for name in known if sorted(name.split("_")) == words), None)
    near = get_close_matches(written, known, n=1, cutoff=NEAR)
    return reordered or next(iter(near), None)
