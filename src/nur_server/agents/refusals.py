"""Errors about tools: which part is wrong, what was expected and what came."""

from nur_server.errors import InvalidRequest


def wrong(param: str, wanted: str, got: object) -> InvalidRequest:
    return refuse(param, f"expected {wanted}; got {_brief(got)}")


def refuse(param: str, message: str, *, code: str | None = None) -> InvalidRequest:
    return InvalidRequest(f"{param}: {message}", param=param, code=code)


def _brief(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
