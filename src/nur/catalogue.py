"""What the server has: voices and models."""

from typing import Literal

from nur.call import Call, path
from nur.objects import Model, Voice
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing


def list_voices(
    *,
    language: str | None = None,
    type: Literal["built-in", "vendor", "cloned"] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Voice]:
    """The voices an agent can have.

    for voice in client.voices.list():
        print(voice.id, voice.language)
    """
    query = {
        "language": language,
        "type": type,
        "limit": limit,
        "offset": offset,
        "cursor": cursor,
    }
    return Listing("/v1/voices", Voice, query)


def get_voice(voice_id: str) -> Call[Voice]:
    """Read a voice, by its id or one of its aliases. Raises `NotFound`.

    print(client.voices.get("rachel_v2").id)
    """
    return Call("GET", path("/v1/voices/{}", voice_id), Voice.model_validate)


def list_models(
    *,
    kind: Literal["stt", "llm", "tts"] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Model]:
    """The models an agent can name, and whether each can be used now.

    print([model.id for model in client.models.list(kind="llm") if model.available])
    """
    query = {"kind": kind, "limit": limit, "offset": offset, "cursor": cursor}
    return Listing("/v1/models", Model, query)


def get_model(model_id: str) -> Call[Model]:
    """Read an entry of the catalogue. Raises `NotFound`.

    print(client.models.get("qwen3.5-4b").available)
    """
    return Call("GET", path("/v1/models/{}", model_id), Model.model_validate)


class _VoiceMethods:
    get = endpoint(get_voice)
    list = listing(list_voices)


class Voices(SyncResource, _VoiceMethods):
    """`client.voices`."""


class AsyncVoices(AsyncResource, _VoiceMethods):
    """`client.voices`, awaited."""


class _ModelMethods:
    get = endpoint(get_model)
    list = listing(list_models)


class Models(SyncResource, _ModelMethods):
    """`client.models`."""


class AsyncModels(AsyncResource, _ModelMethods):
    """`client.models`, awaited."""
