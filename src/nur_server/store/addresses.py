"""Database addresses, as users write them."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from nur_server.errors import InternalError

POSTGRESQL_OPTIONS = {"sslmode": "ssl", "ssl": "ssl", "host": "host", "port": "port"}
"""Options of a PostgreSQL address that are understood, and the driver's name of each."""


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def parse_url(url: str) -> URL:
    """The address with its asynchronous driver. Raises `InternalError` for any other kind."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _bad_address("an address that cannot be read") from error
    scheme = parsed.drivername.partition("+")[0]
    if scheme == "sqlite":
        return _sqlite_url(parsed)
    if scheme in ("postgresql", "postgres"):
        return _postgresql_url(parsed)
    raise _bad_address(f"{scheme}://…")


def _sqlite_url(url: URL) -> URL:
    if url.database in (None, "", ":memory:") or url.host:
        raise _bad_address("an SQLite address without a file")
    if url.query:
        raise _bad_address(f"an SQLite address with the options {', '.join(sorted(url.query))}")
    return url.set(drivername="sqlite+aiosqlite")


def _postgresql_url(url: URL) -> URL:
    unknown = sorted(set(url.query) - set(POSTGRESQL_OPTIONS))
    if unknown:
        raise _bad_address(
            f"the options {', '.join(unknown)} (known: {', '.join(POSTGRESQL_OPTIONS)})"
        )
    query = {POSTGRESQL_OPTIONS[name]: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def _bad_address(found: str) -> InternalError:
    return InternalError(
        "expected the database address as sqlite:///path/to/file or "
        f"postgresql://user:password@host/name, got {found}; set NUR_DATABASE_URL",
        code="database_url_invalid",
    )
