"""The bounds of the two queues of a live session, and what they throw away."""

import asyncio

import pytest

from nur.events import ReplyAudio, UserTranscript
from nur.queues import Inbox, Message, Outbox


def audio(n, reply_id="r1"):
    return ReplyAudio(reply_id=reply_id, audio=bytes([n]))


def words(n):
    return UserTranscript(item_id="i", text=str(n))


async def read_all(inbox):
    inbox.close()
    return [event async for event in _events(inbox)]


async def _events(inbox):
    while (event := await inbox.get()) is not None:
        yield event


async def test_a_full_inbox_gives_up_the_oldest_audio_first():
    inbox = Inbox(3)
    for event in (words(1), audio(2), audio(3), words(4)):
        inbox.put(event)
    assert await read_all(inbox) == [words(1), audio(3), words(4)]
    assert inbox.dropped == 1


async def test_a_full_inbox_without_audio_gives_up_the_oldest_event():
    inbox = Inbox(2)
    for n in range(4):
        inbox.put(words(n))
    assert await read_all(inbox) == [words(2), words(3)]


async def test_only_the_audio_of_the_cut_off_reply_is_discarded():
    inbox = Inbox()
    for event in (audio(1), words(2), audio(3, "r2")):
        inbox.put(event)
    inbox.discard_audio("r1")
    assert await read_all(inbox) == [words(2), audio(3, "r2")]
    assert inbox.dropped == 0


async def test_an_online_outbox_makes_the_sender_wait():
    outbox = Outbox(1)
    await outbox.set_online(True)
    await outbox.put(Message("a"))
    waiting = asyncio.create_task(outbox.put(Message("b")))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.first() == Message("a")
    await outbox.written()
    assert await waiting
    assert await outbox.first() == Message("b")


async def test_an_offline_outbox_keeps_the_newest_two_seconds_of_audio_and_every_command():
    outbox = Outbox(4)
    await outbox.put(Message("command"))
    for n in range(10):
        await outbox.put(Message(bytes([n]), audio_seconds=0.5))
    kept = []
    for _ in range(5):
        kept.append((await outbox.first()).data)
        await outbox.written()
    assert kept == ["command", b"\6", b"\7", b"\x08", b"\x09"]
    assert outbox.dropped_audio_seconds == 3.0


async def test_a_message_stays_until_it_is_written():
    outbox = Outbox()
    await outbox.put(Message("a"))
    assert await outbox.first() == await outbox.first() == Message("a")


async def test_a_closed_outbox_lets_everybody_go():
    outbox = Outbox(1)
    await outbox.set_online(True)
    await outbox.put(Message("a"))
    waiting = asyncio.create_task(outbox.put(Message("b")))
    await asyncio.sleep(0)
    await outbox.close()
    assert not await waiting
    assert not await outbox.put(Message("c"))


async def test_a_cancelled_put_leaves_nothing_behind():
    outbox = Outbox(1)
    await outbox.set_online(True)
    await outbox.put(Message("a"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.put(Message("b"))
    await outbox.written()
    await outbox.put(Message("c"))
    assert await outbox.first() == Message("c")
