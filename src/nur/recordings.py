"""Recordings of sessions."""

from typing import Literal

from nur.call import Call, path
from nur.objects import Recording
from nur.resource import AsyncResource, SyncResource, endpoint

RecordingFormat = Literal["flac", "opus", "wav"]


def get_recording(recording_id: str, *, format: RecordingFormat | None = None) -> Call[Recording]:
    """Read a recording; its `url` plays it for an hour, in the `format` asked for.

        recording = client.recordings.get("rec_…", format="opus")
        urllib.request.urlretrieve(recording.url, "call.ogg")

    Raises `NotFound`.
    """
    query = {"format": format}
    return Call(
        "GET", path("/v1/recordings/{}", recording_id), Recording.model_validate, query=query
    )


def get_session_recording(
    session_id: str, *, format: RecordingFormat | None = None
) -> Call[Recording]:
    """The recording of a session or call. Raises `NotFound` where it was not recorded.

    print(client.recordings.of_session(session.session_id).url)
    """
    query = {"format": format}
    return Call(
        "GET", path("/v1/sessions/{}/recording", session_id), Recording.model_validate, query=query
    )


def delete_recording(recording_id: str) -> Call[Recording]:
    """Delete the audio for good. Raises `Conflict` while it is being made.

    client.recordings.delete(recording.id)
    """
    return Call("DELETE", path("/v1/recordings/{}", recording_id), Recording.model_validate)


class _RecordingMethods:
    get = endpoint(get_recording)
    of_session = endpoint(get_session_recording)
    delete = endpoint(delete_recording)


class Recordings(SyncResource, _RecordingMethods):
    """`client.recordings`."""


class AsyncRecordings(AsyncResource, _RecordingMethods):
    """`client.recordings`, awaited."""
