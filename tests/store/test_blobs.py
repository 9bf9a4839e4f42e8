"""Blobs in a folder and in a bucket: the same promises."""

from pathlib import Path

import httpx2
import pytest

from nur_server.errors import InternalError, NotFound, Unavailable
from nur_server.store.blobs import PIECES, PROBE, Blobs, Bucket, Folder, open_blobs
from tests.store.s3 import S3, URL, s3, s3_server

__all__ = ["s3", "s3_server"]

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


async def test_deleting_takes_what_is_named_and_nothing_else(blobs: Blobs, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"x")
    ogg, missing = "recordings/acc_1/rec_1.ogg", "recordings/acc_1/rec_1.wav"
    others = "recordings/acc_1/rec_12.flac", "recordings/acc_2/rec_1.flac"
    for key in (KEY, ogg, *others):
        await blobs.put(key, made)
    for _ in range(2):
        await blobs.delete([KEY, ogg, missing])
    assert await blobs.size(KEY) is None
    assert await blobs.size(ogg) is None
    assert [await blobs.size(key) for key in others] == [1, 1]


async def test_deleting_takes_pieces_too(blobs: Blobs) -> None:
    writer = blobs.create(KEY)
    for _ in range(PIECES):
        await writer.append(b"piece")
    await blobs.delete([KEY])
    with pytest.raises(NotFound):
        await content(blobs)


async def test_a_store_that_can_be_written_is_left_as_it_was(blobs: Blobs) -> None:
    await blobs.check()
    assert await blobs.size(PROBE) is None


async def test_a_folder_that_cannot_be_written_says_which_setting_to_correct() -> None:
    with pytest.raises(Unavailable, match=r"/proc/nur.*correct NUR_BLOBS_URL"):
        await Folder(Path("/proc/nur")).check()


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


def test_a_bucket_needs_a_name() -> None:
    pytest.importorskip("obstore", reason="needs obstore")
    with pytest.raises(InternalError, match=r"expected s3://bucket/prefix") as caught:
        open_blobs("s3://")
    assert "\n" not in caught.value.message


def test_other_stores_are_refused() -> None:
    with pytest.raises(InternalError, match=r"file:///… or s3://…, got ftp://"):
        open_blobs("ftp://example.com/x")


# Against a real S3 server, in one go: it takes seconds to start.


async def test_a_bucket_of_a_server_keeps_the_same_promises(s3: S3, tmp_path: Path) -> None:
    blobs = open_blobs(URL)
    await blobs.check()
    assert s3.stored() == []

    others = "recordings/acc_1/rec_12.flac", "recordings/acc_2/rec_1.flac"
    made = tmp_path / "made"
    made.write_bytes(b"made whole")
    for key in others:
        await blobs.put(key, made)

    writer = blobs.create(KEY)
    given = [bytes([65 + number % 26]) * 1000 for number in range(9 * PIECES + 2)]
    for piece in given:
        await writer.append(piece)
    kept = given[: 9 * PIECES]
    assert await content(blobs) == b"".join(kept), "before it is whole"
    await writer.finish(HEADER)
    assert await content(blobs) == HEADER + b"".join(given)[len(HEADER) :]
    assert await blobs.size(KEY) == 1000 * len(given)
    assert sorted(s3.stored()) == sorted(f"nur/{key}" for key in (KEY, *others))

    address = blobs.address(KEY, 60)
    assert address is not None
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        opened = await stranger.get(address)
        assert (opened.status_code, opened.headers["content-type"]) == (200, "audio/flac")
        part = await stranger.get(address, headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, HEADER)

    broken = blobs.create("recordings/acc_1/rec_2.flac")
    for _ in range(PIECES):
        await broken.append(b"piece")
    await blobs.put("recordings/acc_1/rec_2.flac", made)
    for _ in range(2):
        await blobs.delete([KEY, "recordings/acc_1/rec_2.flac", "recordings/acc_1/rec_3.flac"])
    assert sorted(s3.stored()) == sorted(f"nur/{key}" for key in others)
    with pytest.raises(NotFound):
        await content(blobs)


async def test_a_bucket_that_does_not_answer_may_do_so_later(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("nur_server.store.blobs.CHECK_SECONDS", 0.5)
    with pytest.raises(Unavailable) as caught:
        await open_blobs(URL).check()
    assert caught.value.code == "blobs_unreachable"


async def test_what_a_bucket_refuses_is_said_without_saying_where_it_is(s3: S3) -> None:
    blobs = open_blobs(URL)
    writer = blobs.create(KEY)
    s3.remove_bucket()
    with pytest.raises(Unavailable, match=r"404.*correct NUR_BLOBS_URL or the AWS_… variables"):
        await blobs.check()
    with pytest.raises(Unavailable, match="the bucket of recordings does not exist") as caught:
        for _ in range(PIECES):
            await writer.append(b"piece")
    assert caught.value.code == "blobs_unavailable"
    with pytest.raises(Unavailable) as caught:
        await blobs.delete([KEY])
    assert s3.address not in caught.value.message and "log" in caught.value.message
