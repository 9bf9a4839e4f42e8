"""Blobs in a folder and in a bucket: the same promises."""

from pathlib import Path

import pytest

from nur_server.errors import InternalError, NotFound, Unavailable
from nur_server.store.blobs import PIECES, Blobs, Bucket, Folder, open_blobs

KEY = "recordings/acc_1/rec_1.flac"
HEADER = b"HEAD"


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return Folder(tmp_path / "blobs")
    store = pytest.importorskip("obstore.store", reason="needs obstore")
    return Bucket(store.MemoryStore())


async def content(blobs: Blobs, key: str = KEY) -> bytes:
    async with blobs.local(key) as path:
        data: bytes = path.read_bytes()
        return data


@pytest.mark.parametrize("pieces", [1, PIECES, 3 * PIECES + 2])
async def test_pieces_become_a_whole_with_its_last_header(blobs: Blobs, pieces: int) -> None:
    writer = blobs.create(KEY)
    given = [b"head"] + [bytes([65 + number]) * 1000 for number in range(pieces)]
    for piece in given:
        await writer.append(piece)
    await writer.finish(HEADER)
    assert await content(blobs) == HEADER + b"".join(given[1:])
    assert await blobs.size(KEY) == 4 + 1000 * pieces


async def test_what_was_kept_can_be_read_before_it_is_whole(blobs: Blobs) -> None:
    writer = blobs.create(KEY)
    for number in range(PIECES):
        await writer.append(bytes([number]))
    assert await content(blobs) == bytes(range(PIECES))


async def test_a_file_takes_the_place_of_pieces(blobs: Blobs, tmp_path: Path) -> None:
    writer = blobs.create(KEY)
    for _ in range(PIECES):
        await writer.append(b"piece")
    made = tmp_path / "made"
    made.write_bytes(b"made whole")
    await blobs.put(KEY, made)
    assert await content(blobs) == b"made whole"


async def test_deleting_takes_every_format_and_nothing_else(blobs: Blobs, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"x")
    others = "recordings/acc_1/rec_12.flac", "recordings/acc_2/rec_1.flac"
    for key in (KEY, "recordings/acc_1/rec_1.ogg", *others):
        await blobs.put(key, made)
    await blobs.delete("recordings/acc_1/rec_1.")
    await blobs.delete("recordings/acc_1/rec_1.")
    assert await blobs.size(KEY) is None
    assert await blobs.size("recordings/acc_1/rec_1.ogg") is None
    assert [await blobs.size(key) for key in others] == [1, 1]


async def test_what_is_not_there_is_not_found(blobs: Blobs) -> None:
    assert await blobs.size(KEY) is None
    with pytest.raises(NotFound):
        await content(blobs)


async def test_a_key_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside the folder"):
        Folder(tmp_path / "blobs").create("../secrets")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_has_its_own_code(tmp_path: Path) -> None:
    writer = Folder(tmp_path).create("call.flac")
    (tmp_path / "call.flac").symlink_to("/dev/full")
    with pytest.raises(Unavailable) as caught:
        await writer.append(b"data")
    assert caught.value.code == "disk_full"


async def test_a_link_to_a_bucket_is_its_own() -> None:
    store = pytest.importorskip("obstore.store", reason="needs obstore")
    bucket = Bucket(
        store.S3Store(
            "calls",
            region="eu-central-1",
            access_key_id="AKIDEXAMPLE",
            secret_access_key="a secret for tests",
        )
    )
    address = bucket.address(KEY, 60)
    assert address is not None
    assert KEY in address and "X-Amz-Signature=" in address and "X-Amz-Expires=60" in address


def test_other_stores_are_refused() -> None:
    with pytest.raises(InternalError, match=r"file:///… or s3://…, got ftp://"):
        open_blobs("ftp://example.com/x")
