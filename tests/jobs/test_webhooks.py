"""Events reach who asked for them: signed, in order, again and again until they are taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import update
from standardwebhooks.webhooks import WebhookVerificationError

from nur_server.clock import SystemClock
from nur_server.errors import Conflict, InvalidRequest
from nur_server.jobs.webhooks import Deliverer, check_receiver
from nur_server.jobs.worker import Worker
from nur_server.providers.net import guarded_client
from nur_server.store.deliveries import (
    DELIVER,
    DeliveryStatus,
    record_event,
)
from nur_server.store.delivery_log import (
    Deliveries,
    DeliveryRecord,
)
from nur_server.store.engine import Database
from nur_server.store.events import (
    EventType,
)
from nur_server.store.schema import WebhookRow
from nur_server.store.webhooks import (
    NewSecret,
    WebhookFields,
    Webhooks,
    attach,
)

from .conftest import ACCOUNT, QUICK, eventually
from .receiver import Receiver, accept, receiving

CLOCK = SystemClock()
CALL = (
    EventType.CALL_INITIATING,
    EventType.CALL_RINGING,
    EventType.CALL_IN_PROGRESS,
    EventType.CALL_COMPLETED,
)


class Post:
    """Webhooks of one account, and the worker that delivers them."""

    def __init__(self, database: Database, receiver: Receiver) -> None:
        self.database = database
        self.receiver = receiver
        self.webhooks = Webhooks(database, ACCOUNT)
        self.deliveries = Deliveries(database, ACCOUNT)

    async def subscribe(self, path: str = "/hooks", **fields: object) -> NewSecret:
        return await self.webhooks.create(
            WebhookFields(url=self.receiver.url(path), **fields)  # type: ignore[arg-type]
        )

    async def happen(
        self, *types: EventType, subject: str = "ses_1", agent_id: str | None = None
    ) -> list[str | None]:
        """One transaction each, as it is."""
        made = []
        for type in types:
            data = {"session_id": subject, "status": type.value.rpartition(".")[2]}
            async with self.database.write() as session:
                made.append(
                    await record_event(
                        session, ACCOUNT, type, subject, data, now=CLOCK.now(), agent_id=agent_id
                    )
                )
        return made

    async def log(self, **filters: object) -> Sequence[DeliveryRecord]:
        """Oldest first."""
        page = await self.deliveries.list(limit=100, **filters)  # type: ignore[arg-type]
        return page.items[::-1]

    async def settled(self, count: int) -> Sequence[DeliveryRecord]:
        """The log, once so many deliveries are over."""

        async def are_over() -> bool:
            log = await self.log()
            return sum(each.status is not DeliveryStatus.PENDING for each in log) >= count

        await eventually(are_over)
        return await self.log()


@asynccontextmanager
async def delivering(database: Database, back_off: Sequence[float] = (0.1,)) -> AsyncIterator[None]:
    async with guarded_client(allow_private=True) as client:
        worker = Worker(database, "node-a", QUICK)
        deliverer = Deliverer(
            database, client, CLOCK, allow_private=True, back_off_seconds=back_off
        )
        worker.register(DELIVER, deliverer.deliver)
        await worker.start()
        try:
            yield
        finally:
            await worker.stop()


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Post]:
    async with receiving() as receiver, delivering(database):
        yield Post(database, receiver)


async def test_a_call_is_told_in_order_and_signed(post: Post) -> None:
    made = await post.subscribe()
    await post.happen(*CALL)
    told = await post.receiver.accepted_count(len(CALL))
    assert [each.type for each in told] == [type.value for type in CALL]
    for each in told:
        body = each.verify(made.secret)
        assert body["id"] == body["event_id"] == each.id
        assert body["type"] == body["event"] == body["event_type"]
        assert body["data"]["session_id"] == body["session_id"] == "ses_1"
    with pytest.raises(WebhookVerificationError):
        told[0].verify("whsec_" + "A" * 43 + "=")


async def test_order_holds_through_failures(post: Post) -> None:
    failures = iter([500, 503, 429])
    post.receiver.answer = lambda path, body: next(failures, 200)
    await post.subscribe()
    await post.happen(*CALL)
    told = await post.receiver.accepted_count(len(CALL))
    assert [each.type for each in told] == [type.value for type in CALL]
    assert set(post.receiver.accepted_ids().values()) == {1}
    (first, *rest) = await post.settled(len(CALL))
    assert [line["http_status"] for line in first.history] == [500, 503, 429, 200]
    assert [each.attempts for each in rest] == [1, 1, 1]


async def test_other_sessions_do_not_wait(post: Post) -> None:
    post.receiver.answer = lambda path, body: 500 if b"ses_bad" in body else 200
    await post.subscribe()
    await post.happen(EventType.SESSION_STARTED, EventType.SESSION_ENDED, subject="ses_bad")
    await post.happen(EventType.SESSION_STARTED, EventType.SESSION_ENDED, subject="ses_good")
    await post.receiver.accepted_count(2)
    assert {each.json["session_id"] for each in post.receiver.accepted()} == {"ses_good"}
    refused = {r.type for r in post.receiver.received if r.status == 500}
    assert refused == {"session.started"}


async def test_a_receiver_that_hangs_holds_up_no_other(post: Post) -> None:
    post.receiver.hangs.add("/dead")
    await post.subscribe("/dead")
    await post.subscribe("/alive")
    for number in range(12):
        await post.happen(EventType.SESSION_ENDED, subject=f"ses_{number}")
    await post.receiver.until(lambda: len(post.receiver.accepted("/alive")) == 12, 9)


async def test_only_what_was_asked_for_is_told(post: Post) -> None:
    await post.subscribe("/ends", events=("session.ended",))
    await post.subscribe("/agent", agent_id="agt_1")
    await post.subscribe("/off", enabled=False)
    assert await post.happen(EventType.CALL_RINGING) == [None]
    await post.happen(EventType.SESSION_ENDED)
    await post.happen(EventType.SESSION_ENDED, subject="ses_2", agent_id="agt_1")
    await post.receiver.accepted_count(3)
    paths = [(r.path, r.json["session_id"]) for r in post.receiver.accepted()]
    assert sorted(paths) == [("/agent", "ses_2"), ("/ends", "ses_1"), ("/ends", "ses_2")]


async def test_who_subscribes_to_another_name_is_told_under_it(post: Post) -> None:
    await post.subscribe(events=("agent.session.ended",))
    await post.happen(EventType.SESSION_STARTED, EventType.SESSION_ENDED)
    await post.receiver.accepted_count(1)
    assert post.receiver.types() == ["agent.session.ended"]


async def test_an_occurrence_is_told_once(post: Post) -> None:
    await post.subscribe()
    first, second = await post.happen(EventType.SESSION_ENDED, EventType.SESSION_ENDED)
    assert (first is None, second) == (False, None)
    await post.settled(1)
    assert len(await post.log()) == 1


async def test_a_call_has_a_receiver_of_its_own(post: Post) -> None:
    secret = await post.webhooks.rotate_account_secret()
    for _ in range(2):
        async with post.database.write() as session:
            await attach(session, ACCOUNT, "ses_1", post.receiver.url("/call"), now=CLOCK.now())
    await post.happen(EventType.CALL_RINGING, subject="ses_1")
    await post.happen(EventType.CALL_RINGING, subject="ses_2")
    (told,) = await post.receiver.accepted_count(1)
    assert told.verify(secret)["session_id"] == "ses_1"
    assert (await post.webhooks.list()).items == ()


async def test_a_rotated_secret_and_the_one_before_both_verify(post: Post) -> None:
    before = await post.subscribe()
    after = await post.webhooks.rotate(before.webhook.id)
    await post.happen(EventType.SESSION_ENDED)
    (told,) = await post.receiver.accepted_count(1)
    assert told.verify(before.secret) == told.verify(after.secret)


async def test_what_is_replayed_has_the_same_id(post: Post) -> None:
    await post.subscribe()
    await post.happen(EventType.SESSION_ENDED)
    (done,) = await post.settled(1)
    await post.deliveries.replay(done.id)
    first, second = await post.receiver.accepted_count(2)
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_test_reaches_a_webhook_whatever_its_filters(post: Post) -> None:
    made = await post.subscribe(events=("call.failed",))
    delivery_id = await post.webhooks.test(made.webhook.id)
    (told,) = await post.receiver.accepted_count(1)
    assert told.type == "webhook.test"
    (logged,) = await post.settled(1)
    assert (logged.id, logged.event_id) == (delivery_id, told.id)


IMPOSSIBLE = [
    "https://①②⑦.⓪.⓪.①/",
    "https://" + "a" * 300 + ".com/",
    "https://[v1.x]/",
    "https://exa_mple..com/",
    "https://example.com:0/",
    "https://user:word@example.com/",
]


@pytest.mark.parametrize("url", IMPOSSIBLE)
async def test_an_address_that_cannot_be_asked_fails_with_its_reason_and_holds_nothing_up(
    post: Post, url: str
) -> None:
    """Such as were stored before they were refused."""
    made = await post.webhooks.create(WebhookFields(url=url))
    await post.happen(EventType.SESSION_STARTED, EventType.SESSION_ENDED)
    log = await post.settled(2)
    assert [each.status for each in log] == [DeliveryStatus.FAILED] * 2
    assert [each.attempts for each in log] == [1, 1]
    assert all(each.error for each in log)
    assert (await post.webhooks.get(made.webhook.id)).enabled


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(UnicodeError("idna"), 1), (httpx2.InvalidURL("odd"), 1), (RuntimeError("broken"), None)],
)
async def test_any_error_of_an_attempt_is_a_failed_attempt(
    database: Database, error: Exception, attempts: int | None
) -> None:
    def breaks(_: httpx2.Request) -> httpx2.Response:
        raise error

    async with (
        receiving() as receiver,
        httpx2.AsyncClient(transport=httpx2.MockTransport(breaks)) as client,
    ):
        post = Post(database, receiver)
        await post.subscribe()
        deliverer = Deliverer(database, client, CLOCK, allow_private=True, back_off_seconds=(3600,))
        worker = Worker(database, "node-a", QUICK)
        worker.register(DELIVER, deliverer.deliver)
        await worker.start()
        await post.happen(EventType.SESSION_ENDED)

        async def is_attempted() -> bool:
            return (await post.log())[0].attempts > 0

        await eventually(is_attempted)
        await worker.stop()
        (made,) = await post.log()
    assert str(error) in (made.error or "")
    is_over = made.status is DeliveryStatus.FAILED
    assert is_over if attempts else made.status is DeliveryStatus.PENDING


async def test_a_receiver_that_is_gone_is_told_no_more(post: Post) -> None:
    post.receiver.answer = lambda path, body: 410
    made = await post.subscribe()
    await post.happen(EventType.SESSION_STARTED, EventType.SESSION_ENDED)
    log = await post.settled(2)
    assert [each.status.value for each in log] == ["failed", "canceled"]
    webhook = await post.webhooks.get(made.webhook.id)
    assert (webhook.enabled, webhook.disabled_reason) == (False, "gone")
    with pytest.raises(Conflict, match="enable it first"):
        await post.deliveries.replay(log[0].id)


async def test_a_receiver_that_failed_for_days_is_told_no_more(post: Post) -> None:
    post.receiver.answer = lambda path, body: 500
    made = await post.subscribe()
    six_days_ago = CLOCK.now() - timedelta(days=6)
    async with post.database.write() as session:
        await session.execute(update(WebhookRow).values(failing_since=six_days_ago))
    await post.happen(EventType.SESSION_ENDED)
    (canceled,) = await post.settled(1)
    assert (canceled.status, canceled.attempts) == (DeliveryStatus.CANCELED, 1)
    webhook = await post.webhooks.get(made.webhook.id)
    assert (webhook.enabled, webhook.disabled_reason) == (False, "failing")
    post.receiver.answer = accept
    await post.webhooks.update(made.webhook.id, {"enabled": True})
    await post.deliveries.replay(canceled.id)
    await post.receiver.accepted_count(1)
    assert (await post.webhooks.get(made.webhook.id)).disabled_reason is None


async def test_a_webhook_that_was_deleted_is_told_no_more(post: Post) -> None:
    post.receiver.answer = lambda path, body: 500
    made = await post.subscribe()
    await post.happen(EventType.SESSION_ENDED)
    await post.receiver.until(lambda: len(post.receiver.received) >= 2)
    await post.webhooks.delete(made.webhook.id)
    seen = len(post.receiver.received)
    await asyncio.sleep(0.5)
    assert len(post.receiver.received) <= seen + 1
    assert await post.log() == ()


async def test_after_a_day_it_is_given_up(database: Database) -> None:
    """An event of yesterday, whose receiver fails still."""
    async with receiving() as receiver:
        receiver.answer = lambda path, body: 503
        post = Post(database, receiver)
        await post.subscribe()
        almost_a_day_ago = CLOCK.now() - timedelta(hours=23, minutes=59, seconds=58)
        async with database.write() as session:
            await record_event(
                session, ACCOUNT, EventType.SESSION_ENDED, "ses_1", {}, now=almost_a_day_ago
            )
        async with delivering(database, (0.4,)):
            (given_up,) = await post.settled(1)
    assert given_up.status is DeliveryStatus.FAILED
    assert given_up.error == "expected a status from 200 to 299, got 503"
    assert given_up.attempts == len(receiver.received) >= 1


async def test_private_receivers_are_refused_by_name_and_by_number(database: Database) -> None:
    async with (
        receiving() as receiver,
        guarded_client(allow_private=False) as client,
    ):
        post = Post(database, receiver)
        await post.subscribe()
        worker = Worker(database, "node-a", QUICK)
        worker.register(
            DELIVER,
            Deliverer(
                database, client, CLOCK, allow_private=False, back_off_seconds=(3600,)
            ).deliver,
        )
        await worker.start()
        await post.happen(EventType.SESSION_ENDED)

        async def is_attempted() -> bool:
            return (await post.log())[0].attempts > 0

        await eventually(is_attempted)
        await worker.stop()
        (refused,) = await post.log()
    assert "Address refused" in (refused.error or "")
    assert receiver.received == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/hook", "invalid_url"),
        ("https://127.0.0.1/hook", "private_address"),
        ("https://[::1]/hook", "private_address"),
        ("https://169.254.169.254/latest", "private_address"),
        ("https://localhost/hook", "private_address"),
        ("ftp://example.com/hook", "invalid_url"),
        ("https://user:word@example.com/hook", "invalid_url"),
    ],
)
def test_addresses_that_no_webhook_may_have(url: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_receiver(url, allow_private=False)
    assert refused.value.code == code
