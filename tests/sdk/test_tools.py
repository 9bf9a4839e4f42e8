"""Tool calls run once, and every outcome is an answer."""

import asyncio
import contextvars
import threading

from nur.events import ToolCall
from nur.tools import MOST_CALLS, ToolBox


def call(call_id="c1", name="count", runner=None, **arguments):
    return ToolCall(call_id=call_id, name=name, arguments=arguments, runner=runner)


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return str(self.calls)


async def test_a_repeated_call_gets_its_first_answer():
    count = Counter()
    box = ToolBox({"count": count}, 5)
    first = await box.answer(call())
    assert await box.answer(call()) == first
    assert count.calls == 1


async def test_a_running_call_is_not_run_beside_itself():
    begun, release = threading.Event(), threading.Event()

    def work():
        begun.set()
        release.wait(5)
        return "done"

    box = ToolBox({"count": work}, 5)
    running = asyncio.create_task(box.answer(call()))
    await asyncio.to_thread(begun.wait, 5)
    assert await box.answer(call()) is None
    release.set()
    answer = await running
    assert answer is not None
    assert answer.result == "done"


async def test_the_journal_is_bounded_and_forgets_the_oldest():
    count = Counter()

    async def quick():
        return count()

    box = ToolBox({"count": quick}, 5)
    for n in range(MOST_CALLS + 1):
        await box.answer(call(f"c{n}"))
    assert count.calls == MOST_CALLS + 1
    await box.answer(call("c1"))
    assert count.calls == MOST_CALLS + 1
    await box.answer(call("c0"))
    assert count.calls == MOST_CALLS + 2


def test_only_its_own_calls_are_answered():
    box = ToolBox({"count": Counter()}, 5)
    assert box.answers(call())
    assert box.answers(call(runner="client"))
    assert not box.answers(call(runner="server"))
    assert not box.answers(call(name="other"))


async def test_functions_see_the_caller_s_context():
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ada")
    answer = await ToolBox({"count": lambda: user.get()}, 5).answer(call())
    assert answer is not None
    assert answer.result == "ada"


async def test_a_time_out_of_the_function_s_own_is_told_as_such():
    def slow():
        raise TimeoutError("the database is slow")

    answer = await ToolBox({"count": slow}, 5).answer(call())
    assert answer is not None
    assert answer.result == "TimeoutError: the database is slow"
