"""`adelay` and `aapply_async`: what is sent from event loops."""

from __future__ import annotations

import asyncio
import os

import pytest

from taskmesh import AsyncResult, TaskMesh
from taskmesh.core import keys
from taskmesh.core.ids import routing_of
from taskmesh.core.steps import Call, Reply
from taskmesh.errors import NotPicklable, PayloadTooLarge, QueueFull, SendRejected, UsageError
from taskmesh.nodes.async_driver import _Home
from tests.apps import async_tasks
from tests.apps.async_tasks import add

TESTS_LAST_S = 120


def in_loop(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TESTS_LAST_S))


@pytest.fixture
def queue() -> str:
    """Name of a queue that nobody serves."""
    return f"nobody-{os.urandom(4).hex()}"


@pytest.fixture
def waiting(looker, served, queue):
    """Return the ids in that queue, first in line first."""
    line = keys.prefix(served.name) + f"q:{queue}:4".encode()
    return lambda: [hint.rpartition(b":")[0].decode() for hint in looker.lrange(line, 0, -1)]


def test_it_is_recorded_when_the_handle_is_there(served, queue, waiting):
    async def main() -> None:
        for _ in range(3):
            before = waiting()
            handle = await add.aapply_async((1, 2), queue=queue, headers={"a": 1})
            assert isinstance(handle, AsyncResult)
            assert waiting() == [*before, handle.id]

    in_loop(main())


def test_those_that_are_sent_at_once_go_together_and_in_order(served, queue, waiting, monkeypatch):
    """A hundred coroutines: the first goes at once, the others in one call of the script."""
    asked: list[str] = []
    perform = _Home.perform

    async def counting(home: _Home, calls: list[Call], deadline_s: float | None = None) -> list[Reply]:
        asked.extend(call.script.name for call in calls if call.script is not None)
        return await perform(home, calls, deadline_s)

    async def main() -> None:
        await add.aapply_async((0, 0), queue=f"{queue}-other")
        monkeypatch.setattr(_Home, "perform", counting)
        handles = await asyncio.gather(*[add.aapply_async((n, n), queue=queue) for n in range(100)])
        assert 1 <= asked.count("queue.enqueue") <= 2
        assert waiting() == [handle.id for handle in handles]
        assert len({handle.id for handle in handles}) == 100

    in_loop(main())


def test_a_thousand_at_once_in_a_new_loop(served, queue, waiting):
    """They share a few slots, not one: a run of neighbours each."""

    async def main() -> None:
        handles = await asyncio.gather(*[add.aapply_async((n, n), queue=queue) for n in range(1000)])
        assert sorted(waiting()) == sorted(handle.id for handle in handles)
        assert 4 <= len({routing_of(handle.id) for handle in handles}) <= 10

    in_loop(main())


def test_what_is_cancelled_before_it_goes_is_not_sent(served, queue, waiting):
    async def main() -> None:
        tasks = [asyncio.create_task(add.aapply_async((n, n), queue=queue)) for n in range(10)]
        await asyncio.sleep(0)
        tasks[5].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers.pop(5), asyncio.CancelledError)
        assert sorted(waiting()) == sorted(handle.id for handle in answers)

    in_loop(main())


def test_cancelling_some_leaves_the_others_alone(served, queue, waiting):
    """At any moment: whoever got a handle finds its message recorded."""

    async def main() -> None:
        tasks = [asyncio.create_task(add.aapply_async((n, n), queue=queue)) for n in range(300)]
        for turn in range(6):
            await asyncio.sleep(0)
            for task in tasks[turn::12]:
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        accepted = {handle.id for handle in answers if isinstance(handle, AsyncResult)}
        assert len(accepted) >= 150
        assert accepted <= set(waiting())

    in_loop(main())


def test_a_full_node_is_told_to_each_sender(served, queue, waiting, looker):
    async def main() -> None:
        await add.aapply_async((0, 0), queue=f"{queue}-other")
        before = looker.config_get("maxmemory")["maxmemory"]
        looker.config_set("maxmemory", 1)
        try:
            sends = [add.aapply_async((n, n), queue=queue) for n in range(10)]
            refusals = await asyncio.gather(*sends, return_exceptions=True)
        finally:
            looker.config_set("maxmemory", before)
        assert {type(refusal) for refusal in refusals} == {QueueFull}
        assert len({refusal.task_id for refusal in refusals}) == 10
        assert waiting() == []

    in_loop(main())


def test_what_cannot_be_sent_fails_alone(served, queue, waiting):
    async def main() -> None:
        bad = add.aapply_async((open(os.devnull, "rb"), 1), queue=queue)  # noqa: ASYNC230, PTH123, SIM115
        too_large = add.aapply_async((bytes(32 << 20), 1), queue=queue)
        sends = [add.aapply_async((1, 2), queue=queue), bad, too_large, add.aapply_async((3, 4), queue=queue)]
        first, refused, larger, last = await asyncio.gather(*sends, return_exceptions=True)
        assert isinstance(refused, NotPicklable)
        assert isinstance(larger, PayloadTooLarge)
        assert waiting() == [first.id, last.id]

    with pytest.warns(ResourceWarning):
        in_loop(main())


def test_large_messages_go_alone(served, queue, waiting):
    async def main() -> None:
        body = os.urandom(1 << 20)
        handles = await asyncio.gather(*[add.aapply_async((body, n), queue=queue) for n in range(5)])
        assert set(waiting()) == {handle.id for handle in handles}

    in_loop(main())


def test_options_are_checked(served):
    async def main() -> None:
        with pytest.raises(UsageError):
            await add.aapply_async((1, 2), queue="no spaces")

    in_loop(main())


def test_an_id_that_is_known_changes_nothing_and_its_outcome_is_heard_of(served):
    """Another process sent it and is told of the outcome; this one reads the record."""
    other = TaskMesh(served.name, nodes=served.address().url, key=async_tasks.KEY)
    name = f"mine-{os.urandom(4).hex()}"

    async def main() -> None:
        await (await add.adelay(0, 0))
        there = await other.task(name=add.name)(add.function).aapply_async((1, 2), task_id=name)
        here = await add.aapply_async((5, 6), task_id=name)
        assert await here == 3
        assert await there == 3
        assert await (await add.aapply_async((7, 8), task_id=name)) == 3

    in_loop(main())
    other.close()


def test_the_same_id_twice_at_once_is_one_message(served, queue, waiting):
    async def main() -> None:
        handles = await asyncio.gather(
            *[add.aapply_async((n, n), queue=queue, task_id=queue) for n in range(5)]
        )
        assert {handle.id for handle in handles} == {queue}
        assert waiting() == [queue]

    in_loop(main())


def test_functions_by_value(served):
    """What no worker can import travels along, also when many go together; the node gets it once."""
    factor = 7
    times = served.task(lambda n: n * factor)

    async def one(n: int) -> int:
        return await (await times.adelay(n))

    async def main() -> None:
        assert await asyncio.gather(*[one(n) for n in range(50)]) == [7 * n for n in range(50)]

    try:
        in_loop(main())
    finally:
        del served.tasks[times.name]


def test_a_batch_collects_from_its_own_coroutine_only(served, queue, waiting):
    """Coroutines share a thread: what others send meanwhile must go, not wait in somebody's batch."""
    in_block, sent = asyncio.Event(), asyncio.Event()

    async def collect() -> list[str]:
        with served.batch():
            first = await add.aapply_async((1, 1), queue=queue)
            in_block.set()
            await sent.wait()
            second = await add.aapply_async((2, 2), queue=queue)
        return [first.id, second.id]

    async def main() -> None:
        await add.aapply_async((0, 0), queue=f"{queue}-other")
        collecting = asyncio.create_task(collect())
        await in_block.wait()
        other = await add.aapply_async((3, 3), queue=queue)
        assert waiting() == [other.id]
        sent.set()
        assert waiting() == [other.id, *await collecting][:1]
        assert waiting() == [other.id, *collecting.result()]

    in_loop(main())


def test_results_of_a_batch(served):
    async def main() -> None:
        with served.batch():
            handles = [await add.adelay(n, n) for n in range(10)]
        assert await asyncio.gather(*handles) == [2 * n for n in range(10)]

    in_loop(main())


def test_killed_connections_lose_no_message(served, queue, waiting, looker):
    """Whatever dies while hundreds send, each message is recorded once: a lost answer is asked for again."""

    async def main() -> None:
        await add.aapply_async((0, 0), queue=f"{queue}-other")
        tasks = []
        for n in range(400):
            tasks.append(asyncio.create_task(add.aapply_async((n, n), queue=queue)))
            if n % 40 == 20:
                await asyncio.sleep(0)
                for client in looker.client_list(_type="normal"):
                    if client["name"] == f"taskmesh-{served.name}":
                        looker.client_kill_filter(_id=client["id"])
        handles = await asyncio.gather(*tasks)
        assert sorted(waiting()) == sorted(handle.id for handle in handles)

    in_loop(main())


def test_joining_does_not_block_the_loop(tmp_path, monkeypatch):
    """The first send starts the private node, which takes a while; the loop turns all that time."""
    mesh = TaskMesh("async-first", embedded="private", key=async_tasks.KEY)
    task = mesh.task(name="never.run")(lambda: None)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        turning = asyncio.create_task(turn())
        handles = await asyncio.gather(*[task.adelay() for _ in range(20)])
        turning.cancel()
        assert len({handle.id for handle in handles}) == 20

    with mesh:
        in_loop(main())
    assert turns > 100


def test_a_node_that_does_not_come_up_fails_every_sender(tmp_path):
    mesh = TaskMesh(
        "async-none",
        nodes=f"unix://{tmp_path}/none.sock",
        key=async_tasks.KEY,
        connect_timeout=0.2,
        send_timeout=1.0,
    )
    task = mesh.task(name="never.run")(lambda: None)

    async def main() -> None:
        failures = await asyncio.gather(*[task.adelay() for _ in range(3)], return_exceptions=True)
        assert {type(failure) for failure in failures} == {SendRejected}

    in_loop(main())


def test_eager(served):
    """A sync task runs at once; a coroutine runs in the loop that runs already, and knows what it is."""
    mesh = TaskMesh("async-eager", eager=True)
    loops = []

    @mesh.task
    async def where(x: int) -> int:
        loops.append(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return x + len(async_tasks.current_task().id)

    @mesh.task
    def fail() -> None:
        raise KeyError("eager")

    async def main() -> None:
        assert await (await where.adelay(1)) == 37
        assert loops == [id(asyncio.get_running_loop())]
        handle = await fail.adelay()
        with pytest.raises(KeyError, match="eager"):
            await handle
        assert await asyncio.gather(*[await where.adelay(n) for n in range(3)]) == [36, 37, 38]

    in_loop(main())
