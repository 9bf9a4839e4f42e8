"""Files kept beside the database: a folder, or a bucket of an object store.

A blob that is being written grows by `append` and is whole after `finish`. In a folder it is a
file from the first piece on. In a bucket, where objects cannot grow, each piece is an object of its
own until `finish` joins them. Keys are relative paths. Every method raises `errors.Unavailable`
where the store does not do as it is told: `disk_full`, or `blobs_unavailable`.
"""

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from nur_server.audio.encode import RecordingFormat
from nur_server.errors import InternalError, NotFound, NurError, Unavailable

log = structlog.get_logger(__name__)

PIECES = 5
"""Of a growing blob that make one object in a bucket: what a crash may lose, and what a request
is worth."""
COPY_BYTES = 8 * 1024 * 1024
READ_AT_ONCE = 8
"""Pieces fetched from a bucket at the same time."""
CHECK_SECONDS = 15.0
PROBE = "recordings/.writable"
MEDIA_TYPES = {each.suffix: each.media_type for each in RecordingFormat}
"""What a bucket says of an object to those who open its link."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BlobWriter(Protocol):
    """A blob that grows."""

    async def append(self, data: bytes) -> None: ...

    async def finish(self, header: bytes) -> None:
        """It is whole; `header` replaces its first bytes."""
        ...


class Blobs(Protocol):
    is_shared: ClassVar[bool]
    """Every node sees the same."""

    async def check(self) -> None:
        """Raises `Unavailable` where nothing can be kept; with the code `blobs_unreachable` where
        that may be so for the moment only."""
        ...

    def create(self, key: str) -> BlobWriter: ...

    async def put(self, key: str, source: Path) -> None:
        """Keep a file, in place of what was there, whole or in pieces."""
        ...

    def local(self, key: str) -> Any:
        """`async with` it: a file with the content, or with the pieces there are. `NotFound`."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes of a whole blob. None: there is none."""
        ...

    async def delete(self, keys: Collection[str]) -> None:
        """Whole or in pieces. Nothing happens where there is nothing."""
        ...

    def address(self, key: str, life_seconds: int) -> str | None:
        """Where anybody can read it for a while. None: through this server alone."""
        ...


def open_blobs(url: str) -> Blobs:
    """The store at `file:///folder` or `s3://bucket/prefix`. Raises `InternalError`."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            return Folder(Path(unquote(parts.path)))
        case "s3":
            return Bucket(_s3(url))
        case _:
            raise InternalError(
                f"NUR_BLOBS_URL: expected file:///… or s3://…, got {parts.scheme}://…",
                code="invalid_setting",
            )


def _s3(url: str) -> Any:
    try:
        from obstore.store import S3Store
    except ImportError:
        raise InternalError(
            "NUR_BLOBS_URL names a bucket, which needs obstore: pip install obstore",
            code="invalid_setting",
        ) from None
    try:
        # Whether TLS is used is for AWS_ENDPOINT to say.
        return S3Store.from_url(url, client_options={"allow_http": True})
    except Exception as error:
        if not _is_of_store(error):
            raise
        raise InternalError(
            f"NUR_BLOBS_URL: expected s3://bucket/prefix and AWS_… variables: {_said(error)}",
            code="invalid_setting",
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of files and object stores as ours."""
    try:
        yield
    except Exception as error:
        ours = _ours(error)
        if ours is None:
            raise
        raise ours from error


def _ours(error: Exception) -> NurError | None:
    """What a store said is for the log alone: it tells where recordings are kept."""
    match error:
        case FileNotFoundError():
            return NotFound("this recording is not kept any more", code="recording_gone")
        case OSError(errno=number) if number in FULL:
            return Unavailable("no space is left for recordings", code="disk_full")
        case OSError(strerror=str() as why):
            return Unavailable(
                f"the folder of recordings cannot be used: {why}", code="blobs_unavailable"
            )
        case _ if _is_of_store(error):
            log.warning("blobs.refused", said=_said(error))
            return Unavailable(
                "the bucket of recordings cannot be used; the server's log says why",
                code="blobs_unavailable",
            )
        case _:
            return None


def _is_of_store(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.startswith("obstore")


def _said(error: Exception) -> str:
    """The first line of an error, without the document it may come with."""
    return str(error).partition("\n")[0].partition(": <?xml")[0] or type(error).__name__


# A folder


class Folder:
    """Files below `root`, which is made when it is first needed."""

    is_shared: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def check(self) -> None:
        try:
            await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
            writable = os.access(self._root, os.W_OK | os.X_OK)
        except OSError as error:
            raise _unusable(self._root, error.strerror or str(error)) from error
        if not writable:
            raise _unusable(self._root, "it cannot be written")

    def create(self, key: str) -> BlobWriter:
        return _FileWriter(self._path(key))

    async def put(self, key: str, source: Path) -> None:
        with _translated():
            await asyncio.to_thread(_replace, source, self._path(key))

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        with _translated():
            await asyncio.to_thread(path.stat)
        yield path

    async def size(self, key: str) -> int | None:
        try:
            return (await asyncio.to_thread(self._path(key).stat)).st_size
        except FileNotFoundError:
            return None

    async def delete(self, keys: Collection[str]) -> None:
        with _translated():
            await asyncio.to_thread(_delete, [self._path(key) for key in keys])

    def address(self, key: str, life_seconds: int) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        path = self._root / key
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ValueError(f"expected a key inside the folder, got {key!r}")
        return path


class _FileWriter:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def append(self, data: bytes) -> None:
        with _translated():
            await asyncio.to_thread(_append, self._path, data)

    async def finish(self, header: bytes) -> None:
        with _translated():
            await asyncio.to_thread(_patch, self._path, header)


def _append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)


def _patch(path: Path, header: bytes) -> None:
    with path.open("r+b") as file:
        file.write(header)


def _replace(source: Path, target: Path) -> None:
    """Seen whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(target)
    try:
        shutil.copyfile(source, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        _beside(path).unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """Where a file is made that is to take its place; what a crash may leave."""
    return target.with_name(f".{target.name}.new")


def _unusable(root: Path, why: str) -> Unavailable:
    return Unavailable(
        f"expected a folder for recordings that can be written at {root}: {why}; "
        "correct NUR_BLOBS_URL or NUR_DATA_DIR",
        code="blobs_unavailable",
    )


# A bucket


class Bucket:
    """Objects of any store that obstore knows."""

    is_shared: ClassVar[bool] = True

    def __init__(self, store: Any) -> None:
        self._store = store

    async def check(self) -> None:
        from obstore.exceptions import GenericError

        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await _put(self._store, PROBE, b"")
                await _remove(self._store, [PROBE])
        except TimeoutError as error:
            why = f"no answer within {CHECK_SECONDS:g} s"
            raise _refused(why, "blobs_unreachable") from error
        except GenericError as error:
            raise _refused(_said(error), "blobs_unreachable") from error
        except Exception as error:
            if not _is_of_store(error):
                raise
            raise _refused(_said(error), "blobs_unavailable") from error

    def create(self, key: str) -> BlobWriter:
        return _ObjectWriter(self._store, key)

    async def put(self, key: str, source: Path) -> None:
        with _translated(), _bucket_exists():
            await _put(self._store, key, source)
            await _remove(self._store, await _parts(self._store, key))

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "blob")
            with _translated():
                await self._fetch(key, path)
            yield path

    async def size(self, key: str) -> int | None:
        with _translated():
            return await _size(self._store, key)

    async def delete(self, keys: Collection[str]) -> None:
        with _translated():
            for key in keys:
                found = await _parts(self._store, key)
                if await _size(self._store, key) is not None:
                    found.append(key)
                await _remove(self._store, found)

    def address(self, key: str, life_seconds: int) -> str | None:
        import obstore
        from obstore.store import S3Store

        if not isinstance(self._store, S3Store):
            return None
        with _translated():
            return str(obstore.sign(self._store, "GET", key, timedelta(seconds=life_seconds)))

    async def _fetch(self, key: str, path: Path) -> None:
        import obstore

        parts = await _parts(self._store, key)
        with path.open("wb") as file:
            async for data in _contents(self._store, parts):
                await asyncio.to_thread(file.write, data)
            if not parts:
                answer = await obstore.get_async(self._store, key)
                async for chunk in answer.stream(min_chunk_size=COPY_BYTES):
                    await asyncio.to_thread(file.write, bytes(chunk))


class _ObjectWriter:
    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._waiting: list[bytes] = []
        self._parts: list[str] = []

    async def append(self, data: bytes) -> None:
        self._waiting.append(data)
        if len(self._waiting) >= PIECES:
            await self._keep()

    async def finish(self, header: bytes) -> None:
        import obstore

        await self._keep()
        about = _about(self._store, self._key)
        with _translated():
            async with obstore.open_writer_async(self._store, self._key, **about) as whole:
                skipped = len(header)
                await whole.write(header)
                async for data in _contents(self._store, self._parts):
                    await whole.write(data[skipped:])
                    skipped = max(0, skipped - len(data))
            await _remove(self._store, self._parts)

    async def _keep(self) -> None:
        if not self._waiting:
            return
        part = f"{_parts_of(self._key)}{len(self._parts):06d}"
        with _translated(), _bucket_exists():
            await _put(self._store, part, b"".join(self._waiting))
        self._parts.append(part)
        self._waiting.clear()


@contextmanager
def _bucket_exists() -> Iterator[None]:
    """What is put can be refused as not found for one reason only."""
    try:
        yield
    except FileNotFoundError as error:
        log.warning("blobs.refused", said=_said(error))
        raise Unavailable(
            "the bucket of recordings does not exist", code="blobs_unavailable"
        ) from error


def _refused(why: str, code: str) -> Unavailable:
    return Unavailable(
        f"expected a bucket for recordings that can be written: {why}; "
        "correct NUR_BLOBS_URL or the AWS_… variables",
        code=code,
    )


def _parts_of(key: str) -> str:
    return f"{key}.parts/"


async def _parts(store: Any, key: str) -> list[str]:
    """The pieces of a blob, in order."""
    import obstore

    found: list[str] = []
    async for page in obstore.list(store, _parts_of(key)):
        found.extend(str(entry["path"]) for entry in page)
    return sorted(found)


async def _contents(store: Any, keys: Sequence[str]) -> AsyncIterator[bytes]:
    """Of small objects, in order."""
    import obstore

    async def read(key: str) -> bytes:
        answer = await obstore.get_async(store, key)
        return bytes(await answer.bytes_async())

    for start in range(0, len(keys), READ_AT_ONCE):
        for data in await asyncio.gather(*map(read, keys[start : start + READ_AT_ONCE])):
            yield data


async def _size(store: Any, key: str) -> int | None:
    import obstore

    try:
        return int((await obstore.head_async(store, key))["size"])
    except FileNotFoundError:
        return None


async def _put(store: Any, key: str, content: bytes | Path) -> None:
    import obstore

    await obstore.put_async(store, key, content, **_about(store, key))


async def _remove(store: Any, keys: Sequence[str]) -> None:
    import obstore

    if keys:
        await obstore.delete_async(store, list(keys))


def _about(store: Any, key: str) -> dict[str, Any]:
    """What an object's link says it is, where the store can note that."""
    from obstore.store import S3Store

    media_type = MEDIA_TYPES.get(key.rpartition(".")[2])
    if media_type is None or not isinstance(store, S3Store):
        return {}
    return {"attributes": {"Content-Type": media_type}}
