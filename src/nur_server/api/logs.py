"""Logging: one line per event, static text and fields. What callers said goes under `pii`.

Secrets are taken out of each line when it is whole, whoever wrote it: libraries log addresses.
"""

import logging
import sys

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from nur_server.api.log_secrets import without_secrets
from nur_server.settings import Settings

QUIET = ("uvicorn.access", "httpx2", "httpcore2", "aiosqlite", "asyncio", "websockets", "alembic")
"""Loggers heard from warnings on only."""
SERVER_LOGGERS = ("uvicorn", "uvicorn.error")


def configure(settings: Settings) -> None:
    """Send this process's log, and that of its libraries, to standard error. May be repeated."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not settings.log_pii:
        shared.append(_without_pii)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _install(_formatter(settings.log_format, shared), settings.log_level.upper())


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever standard error is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr


def _formatter(kind: str, shared: list[Processor]) -> logging.Formatter:
    """Tracebacks without the values of variables: those may be what callers said, or secrets."""
    ending: list[Processor]
    if kind == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ending = [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        colors = sys.stderr.isatty()
        ending = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending, _redact],
    )


def _install(formatter: logging.Formatter, level: str) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _redact(_logger: WrappedLogger, _method: str, line: object) -> str:
    return without_secrets(str(line))


def _without_pii(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("pii", None)
    return event
