"""Errors as a person at a terminal should read them: what went wrong, on one line."""

from collections.abc import Iterator

from pydantic import ValidationError

from nur_server.errors import NurError
from nur_server.redaction import redacted, shown_address
from nur_server.settings import Settings


class Failure(Exception):
    """A command cannot go on. `message` says what was expected, what came and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def explain(error: Exception) -> list[str] | None:
    """The lines to print for an error a user can do something about; None for any other.

    Passwords and keys in addresses are left out.
    """
    lines = _lines(error)
    return None if lines is None else [redacted(line) for line in lines]


def _lines(error: Exception) -> list[str] | None:
    # The SDK, which a server has no other use for.
    import nur.errors

    match error:
        case Failure() | NurError() | nur.errors.NurError():
            return [error.message]
        case ValidationError() if error.title == Settings.__name__:
            return list(_settings(error))
        case ExceptionGroup():
            return next(filter(None, map(_lines, error.exceptions)), None)
        case OSError():
            place = f" ({error.filename})" if error.filename else ""
            return [f"{error.strerror or error}{place}"]
        case _:
            return None


def _shown(name: str, value: object) -> str:
    """What was given for a setting. Of a secret one: nothing; of an address: no password."""
    annotation = str(Settings.model_fields[name.lower()].annotation)
    if "SecretStr" in annotation or "EngineSettings" in annotation:
        return "a value that is not shown, as it is secret"
    return repr(shown_address(value) if isinstance(value, str) else value)


def _settings(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        name = "_".join(str(part) for part in problem["loc"][:1]).upper()
        said = problem["msg"].removeprefix("Value error, ")
        got = "" if not name or "got" in said else f", got {_shown(name, problem['input'])}"
        yield f"NUR_{name}: {said}{got}" if name else said
