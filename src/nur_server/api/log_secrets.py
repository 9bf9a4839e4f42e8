"""Takes secrets out of text that is to be logged."""

import re

HIDDEN = "[redacted]"

_SECRET = re.compile(
    r"\b(nur_|ssk_|lnk_|web_)[0-9a-f]{16,}"
    r"|\b(rsm_)[\w.-]{16,}"
    r"|\b(whsec_)[\w+/=-]{16,}"
    r"|\b(eyJ)[\w-]+\.[\w-]+\.[\w-]*"
)
"""Keys, secrets of sessions, sign-in links and cookies, resume tokens, signing secrets, and JSON
Web Tokens."""
_QUERY = re.compile(
    r"((?:\b(?:https?|wss?)://[^\s\"'?]+|(?<![\w.])/[\w./%:@~-]*)\?)[^\s\"'<>)\]}\\]+"
)
"""The query of an address: tokens and signatures stand there."""


def without_secrets(text: str) -> str:
    """The text, without the secrets and the queries of addresses in it."""
    return _SECRET.sub(_beginning, _QUERY.sub(rf"\1{HIDDEN}", text))


def _beginning(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group) + HIDDEN
