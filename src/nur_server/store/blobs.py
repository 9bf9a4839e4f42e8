"""Files kept beside the database: a folder, or a bucket of an object store.

A blob that is being written grows by `append` and is whole after `finish`. In a folder it is a
file from the first piece on. In a bucket, where objects cannot grow, each piece is an object of its
own until `finish` joins them. Keys are relative paths. Every method raises `errors.Unavailable`
where the store does not do as it is told: `disk_full`, or `blobs_unavailable`.
"""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from nur_server.errors import InternalError, NotFound, Unavailable

PIECES = 5
"""Of a growing blob that make one object in a bucket: what a crash may lose, and what a request
is worth."""
COPY_BYTES = 8 * 1024 * 1024


class BlobWriter(Protocol):
    """A blob that grows."""

    async def append(self, data: bytes) -> None: ...

    async def finish(self, header: bytes) -> None:
        """It is whole; `header` replaces its first bytes."""
        ...


class Blobs(Protocol):
    is_shared: ClassVar[bool]
    """Every node sees the same."""

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

    async def delete(self, prefix: str) -> None:
        """Everything whose key begins so. Nothing happens where there is nothing."""
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
    return S3Store.from_url(url)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of files and object stores as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("this recording is not kept any more", code="recording_gone") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Unavailable("no space is left for recordings", code="disk_full") from error
        raise Unavailable(
            f"the folder of recordings cannot be used: {error.strerror or error}",
            code="blobs_unavailable",
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith("obstore"):
            raise
        raise Unavailable(
            f"the bucket of recordings cannot be used: {type(error).__name__}",
            code="blobs_unavailable",
        ) from error


# A folder


class Folder:
    """Files below `root`, which is made when it is first needed."""

    is_shared: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

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

    async def delete(self, prefix: str) -> None:
        with _translated():
            await asyncio.to_thread(_delete, self._path(prefix))

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
    beside = target.with_name(f".{target.name}.new")
    try:
        shutil.copyfile(source, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _delete(prefix: Path) -> None:
    for path in prefix.parent.glob(f"{prefix.name}*"):
        path.unlink(missing_ok=True)


# A bucket


class Bucket:
    """Objects of any store that obstore knows."""

    is_shared: ClassVar[bool] = True

    def __init__(self, store: Any) -> None:
        self._store = store

    def create(self, key: str) -> BlobWriter:
        return _ObjectWriter(self._store, key)

    async def put(self, key: str, source: Path) -> None:
        import obstore

        with _translated():
            await obstore.put_async(self._store, key, source)
            await self._delete(_parts_of(key))

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "blob")
            with _translated():
                await self._fetch(key, path)
            yield path

    async def size(self, key: str) -> int | None:
        import obstore

        with _translated():
            try:
                return int((await obstore.head_async(self._store, key))["size"])
            except FileNotFoundError:
                return None

    async def delete(self, prefix: str) -> None:
        with _translated():
            await self._delete(prefix)

    def address(self, key: str, life_seconds: int) -> str | None:
        import obstore
        from obstore.store import S3Store

        if not isinstance(self._store, S3Store):
            return None
        with _translated():
            return str(obstore.sign(self._store, "GET", key, timedelta(seconds=life_seconds)))

    async def _fetch(self, key: str, path: Path) -> None:
        import obstore

        found = await _keys(self._store, _parts_of(key))
        with path.open("wb") as file:
            for part in found or [key]:
                answer = await obstore.get_async(self._store, part)
                async for chunk in answer.stream(min_chunk_size=COPY_BYTES):
                    await asyncio.to_thread(file.write, bytes(chunk))

    async def _delete(self, prefix: str) -> None:
        import obstore

        for key in await _keys(self._store, prefix):
            await obstore.delete_async(self._store, key)


class _ObjectWriter:
    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._waiting: list[bytes] = []
        self._parts: list[str] = []

    async def append(self, data: bytes) -> None:
        self._waiting.append(data)
        if len(self._waiting) >= PIECES:
            await self._put()

    async def finish(self, header: bytes) -> None:
        import obstore

        await self._put()
        with _translated():
            async with obstore.open_writer_async(self._store, self._key) as whole:
                for part in self._parts:
                    answer = await obstore.get_async(self._store, part)
                    data = bytes(await answer.bytes_async())
                    if part == self._parts[0]:
                        data = header + data[len(header) :]
                    await whole.write(data)
            for part in self._parts:
                await obstore.delete_async(self._store, part)

    async def _put(self) -> None:
        import obstore

        if not self._waiting:
            return
        part = f"{_parts_of(self._key)}{len(self._parts):06d}"
        with _translated():
            await obstore.put_async(self._store, part, b"".join(self._waiting))
        self._parts.append(part)
        self._waiting.clear()


def _parts_of(key: str) -> str:
    return f"{key}.parts/"


async def _keys(store: Any, prefix: str) -> list[str]:
    """Of what begins so, in order."""
    import obstore

    folder = prefix.rpartition("/")[0]
    found: list[str] = []
    async for page in obstore.list(store, folder):
        found.extend(str(entry["path"]) for entry in page)
    return sorted(key for key in found if key.startswith(prefix))
