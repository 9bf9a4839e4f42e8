"""The query of `/v1/sessions/{id}`: how its audio travels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from nur_server.api.wire.realtime.codec import AudioFrames
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.audio.rates import TELEPHONE_RATE
from nur_server.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What the query of `/v1/sessions/{id}` asks for."""

    audio: AudioFormat | None
    """None: as the agent is set up."""
    frames: AudioFrames | None
    """None: JSON, until the client sends a binary frame."""


def read_query(query: Mapping[str, str], encodings: Mapping[str, Encoding]) -> QueryOptions:
    """`encodings` by their names here. Raises `InvalidRequest`."""
    frames = _one_of(query, "audio", {kind.value: kind for kind in AudioFrames})
    encoding = _one_of(query, "encoding", encodings)
    rate = query.get("sample_rate")
    if encoding is None and rate is None:
        return QueryOptions(None, frames)
    encoding = encoding or Encoding.PCM16
    usual = AudioFormat().sample_rate if encoding is Encoding.PCM16 else TELEPHONE_RATE
    try:
        return QueryOptions(AudioFormat(encoding, int(rate) if rate else usual), frames)
    except ValueError as error:
        raise InvalidRequest(
            f"sample_rate: {error}", code="invalid_value", param="sample_rate"
        ) from None


Choice = TypeVar("Choice")


def _one_of(query: Mapping[str, str], param: str, choices: Mapping[str, Choice]) -> Choice | None:
    given = query.get(param)
    if given is None or given in choices:
        return None if given is None else choices[given]
    raise InvalidRequest(
        f"{param}: expected {', '.join(choices)}; got {given[:64]!r}",
        code="invalid_value",
        param=param,
    )
