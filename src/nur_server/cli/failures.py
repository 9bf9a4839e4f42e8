"""Errors as a person at a terminal should read them: what went wrong, on one line."""

from collections.abc import Iterator

from pydantic import ValidationError

from nur_server.errors import NurError
from nur_server.settings import Settings


class Failure(Exception):
    """A command cannot go on. `message` says what was expected, what came and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def explain(error: Exception) -> list[str] | None:
    """The lines to print for an error a user can do something about; None for any other."""
    # The SDK, which a server has no other use for.
    import nur.errors

    match error:
        case Failure() | NurError() | nur.errors.NurError():
            return [error.message]
        case ValidationError() if error.title == Settings.__name__:
            return list(_settings(error))
        case ExceptionGroup():
            return next(filter(None, map(explain, error.exceptions)), None)
        case OSError():
            place = f" ({error.filename})" if error.filename else ""
            return [f"{error.strerror or error}{place}"]
        case _:
            return None


def _settings(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        name = "_".join(str(part) for part in problem["loc"][:1]).upper()
        said = problem["msg"].removeprefix("Value error, ")
        got = "" if not name or "got" in said else f", got {problem['input']!r}"
        yield f"NUR_{name}: {said}{got}" if name else said
