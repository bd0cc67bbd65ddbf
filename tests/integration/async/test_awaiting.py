"""`await result` and `as_completed_async`: what comes back into event loops."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import threading
from pathlib import Path

import pytest

from taskmesh import AsyncResult, ResultSet, TaskMesh
from taskmesh.client.async_wait import ear_of
from taskmesh.client.ear import Ear
from taskmesh.core import keys
from taskmesh.errors import (
    KeyMismatch,
    NodeUnavailable,
    ResultExpired,
    TaskNotFound,
    TaskRevoked,
    TaskTimeout,
)
from tests.apps import async_tasks
from tests.apps.async_tasks import add, add_slowly, after, fail, who_am_i
from tests.support import await_until

TESTS_LAST_S = 120


def in_loop(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TESTS_LAST_S))


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file for which `after` waits."""
    return tmp_path / "gate"


@pytest.fixture
def queue() -> str:
    """Name of a queue that nobody serves."""
    return f"nobody-{os.urandom(4).hex()}"


@pytest.fixture
def other(served) -> TaskMesh:
    """The same mesh as another process has it: with a channel of its own."""
    with TaskMesh(served.name, nodes=served.address().url, key=async_tasks.KEY) as mesh:
        yield mesh


def subscribers(looker) -> list[str]:
    return [client["id"] for client in looker.client_list(_type="pubsub")]


async def send_and_await(n: int) -> int:
    return await (await add.adelay(n, n))


# -- values and errors --------------------------------------------------------------


def test_values_of_functions_and_of_coroutines(served):
    async def main() -> None:
        assert await (await add.adelay(1, 2)) == 3
        assert await (await add_slowly.adelay(3, y=4)) == 7
        handle = await who_am_i.adelay()
        assert await handle == handle.id
        # once known it costs nothing, however often it is asked for
        assert await handle == handle.get(timeout=0) == handle.id

    in_loop(main())


def test_what_the_task_raised_comes_back_with_its_traceback(served):
    async def main() -> None:
        with pytest.raises(ValueError, match="no") as caught:
            await (await fail.adelay("no"))
        assert "Remote traceback" in caught.value.__notes__[0]
        assert "async_tasks.py" in caught.value.__notes__[0]

    in_loop(main())


def test_a_thousand_at_once(served, looker):
    async def main() -> None:
        before = set(subscribers(looker))
        assert await asyncio.gather(*[send_and_await(n) for n in range(1000)]) == [2 * n for n in range(1000)]
        assert len(set(subscribers(looker)) - before) == 1

    in_loop(main())


def test_handles_that_were_sent_long_before_they_are_awaited(served, looker):
    """Nothing listened when these ended: they are read, a few at first and then by the hundred."""

    def calls() -> int:
        return looker.info("commandstats")["cmdstat_evalsha"]["calls"]

    async def main() -> None:
        handles = [await add.adelay(n, n) for n in range(300)]
        await await_until(handles[-1].ready)
        before = calls()
        assert [await handle for handle in handles] == [2 * n for n in range(300)]
        # the worker calls scripts, too
        assert calls() - before < 150

    in_loop(main())


def test_what_ended_without_a_value(served, queue):
    async def main() -> None:
        revoked = await add.aapply_async((1, 2), queue=queue)
        assert revoked.revoke()
        with pytest.raises(TaskRevoked):
            await revoked
        with pytest.raises(TaskNotFound):
            await served.result("never-sent")
        forgotten = await add.adelay(1, 2)
        await forgotten
        forgotten.forget()
        with pytest.raises(ResultExpired):
            await served.result(forgotten.id)

    in_loop(main())


def test_an_id_that_was_not_found_may_have_been_sent_since(served):
    name = f"later-{os.urandom(4).hex()}"

    async def main() -> None:
        handle = served.result(name)
        with pytest.raises(TaskNotFound):
            await handle
        await add.aapply_async((1, 2), task_id=name)
        assert await handle == 3

    in_loop(main())


def test_revoked_while_it_is_awaited(served, queue):
    async def main() -> None:
        handle = await add.aapply_async((1, 2), queue=queue)
        waiting = asyncio.create_task(wait_for(handle))
        await listening(served)
        assert handle.revoke()
        with pytest.raises(TaskRevoked):
            await waiting

    in_loop(main())


async def wait_for(handle: AsyncResult) -> object:
    return await handle


async def listening(mesh: TaskMesh) -> Ear:
    """Return the loop's ear once it listens and has nothing more to read."""
    ear = ear_of(mesh.portal)
    await await_until(lambda: ear.round and ear._waits and not ear._unread and not ear._catching_up)
    return ear


# -- many who wait --------------------------------------------------------------------


def test_many_wait_for_one(served, gate):
    """Also by handles of their own on the same id, and in any order of coming."""

    async def main() -> None:
        handle = await after.adelay(str(gate), 5)
        waiting = [asyncio.create_task(wait_for(handle)) for _ in range(5)]
        waiting += [asyncio.create_task(wait_for(served.result(handle.id))) for _ in range(5)]
        await listening(served)
        waiting += [asyncio.create_task(wait_for(served.result(handle.id))) for _ in range(5)]
        await listening(served)
        gate.touch()
        assert await asyncio.gather(*waiting) == [5] * 15

    in_loop(main())


def test_cancelling_one_leaves_the_others_alone(served, gate):
    async def main() -> None:
        handle = await after.adelay(str(gate), 5)
        waiting = [asyncio.create_task(wait_for(handle)) for _ in range(10)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # the first to come: those who come later depend on what it began
        await listening(served)
        for task in waiting[1::2]:
            task.cancel()
        gate.touch()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert answers[2::2] == [5] * 4
        assert all(isinstance(answer, asyncio.CancelledError) for answer in [answers[0], *answers[1::2]])

    in_loop(main())


def test_timeouts_are_those_of_asyncio(served, gate):
    async def main() -> None:
        handle = await after.adelay(str(gate), 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await handle
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait_for(handle), 0.01)
        assert not ear_of(served.portal)._waits
        gate.touch()
        async with asyncio.timeout(TESTS_LAST_S):
            assert await handle == 5

    in_loop(main())


def test_abandoned_handles_cost_nothing(served, gate):
    async def main() -> None:
        await send_and_await(1)
        for _ in range(50):
            many = [
                add.aapply_async((n, n), queue="nobody-abandoned", ignore_result=True) for n in range(100)
            ]
            await asyncio.gather(*many)
        del many
        assert len(ear_of(served.portal)._expected) < 4000

    in_loop(main())


def test_all_results_of_a_set(served, gate):
    async def main() -> None:
        assert await add.starmap([(n, n) for n in range(500)]) == [2 * n for n in range(500)]
        assert await ResultSet([]) == []
        results = ResultSet([await add.adelay(1, 1), await fail.adelay("first"), await fail.adelay("second")])
        with pytest.raises(ValueError, match="first"):
            await results
        held = ResultSet([await add.adelay(1, 1), await after.adelay(str(gate), 9)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await held
        assert not ear_of(served.portal)._waits
        gate.touch()
        assert await held == [2, 9]

    in_loop(main())


# -- as they complete -----------------------------------------------------------------


def test_as_completed(served, gate, tmp_path):
    """In the order in which they end, those that have ended already first; each once."""

    async def main() -> None:
        known = await add.adelay(0, 0)
        await known
        last = await after.adelay(str(gate), 9)
        results = ResultSet([last, known, known])
        seen = []
        async for result in results.as_completed_async(timeout=TESTS_LAST_S):
            seen.append(await result)
            gate.touch()
        assert seen == [0, 9]
        many = add.starmap([(n, n) for n in range(500)])
        assert sorted([await result async for result in many.as_completed_async()]) == [
            2 * n for n in range(500)
        ]
        assert [result async for result in ResultSet([]).as_completed_async()] == []

    in_loop(main())


def test_as_completed_in_time_only(served, gate):
    async def main() -> None:
        results = ResultSet([await add.adelay(1, 1), await after.adelay(str(gate), 9)])
        await results[0]  # which may take longer than the time that is tested
        completed = results.as_completed_async(timeout=0.3)
        assert await (await anext(completed)) == 2
        with pytest.raises(TaskTimeout, match="1 of 2 tasks"):
            await anext(completed)
        gate.touch()
        assert [await result for result in results] == [2, 9]

    in_loop(main())


def test_as_completed_left_early(served, gate):
    async def main() -> None:
        results = ResultSet([await add.adelay(1, 1), await after.adelay(str(gate), 9)])
        async for _ in results.as_completed_async():
            break
        gate.touch()
        assert await results[1] == 9
        assert not ear_of(served.portal)._waits

    in_loop(main())


# -- other processes, other threads, other loops ----------------------------------------


def test_what_another_process_sent(served, other, gate):
    """Its outcome is told on a channel of the sender's: that is listened to as long as somebody waits."""
    there = other.task(name=after.name)(after.function)

    async def main() -> None:
        theirs = [there.delay(str(gate), n) for n in range(3)]
        waiting = [asyncio.create_task(wait_for(served.result(handle.id))) for handle in theirs]
        ear = await listening(served)
        channel = keys.channel(other.link.prefix, other.link.channel)
        assert channel in ear._channels()
        gate.touch()
        assert await asyncio.gather(*waiting) == [0, 1, 2]
        ear._sweep_channels()
        assert channel not in ear._channels()
        # and again, since its handle may be awaited anew: by then nothing is listened to
        gate.unlink()
        again = there.delay(str(gate), 7)
        waiting = [asyncio.create_task(wait_for(served.result(again.id)))]
        await listening(served)
        gate.touch()
        assert await asyncio.gather(*waiting) == [7]

    in_loop(main())


def test_what_another_process_sent_ends_before_its_channel_is_listened_to(served, other, gate, monkeypatch):
    """It was read before, and told before: so it is read again afterwards."""
    there = other.task(name=after.name)(after.function).delay(str(gate), 6)
    listen = Ear._listen

    async def listen_late(self: Ear, more=()) -> int:
        if more:
            gate.touch()
            await await_until(there.ready)
        return await listen(self, more)

    monkeypatch.setattr(Ear, "_listen", listen_late)
    assert in_loop(wait_for(served.result(there.id))) == 6


def test_sent_in_one_loop_and_awaited_in_the_next(served):
    handles = [in_loop(add.adelay(n, n)) for n in range(3)]
    for n, handle in enumerate(handles):
        assert in_loop(wait_for(handle)) == 2 * n
    assert in_loop(wait_for(add.delay(4, 4))) == 8


def test_sent_in_a_loop_and_got_without_one(served):
    handle = in_loop(add.adelay(1, 2))
    assert handle.get(timeout=TESTS_LAST_S) == 3


def test_a_loop_in_a_thread_beside_sync_use(served):
    """Both hear of everything this process sent; each delivers what its own side waits for."""
    failed: list[BaseException] = []

    def other_thread() -> None:
        try:
            for _ in range(10):
                answers = in_loop(many())
                assert answers == [2 * n for n in range(50)]
        except BaseException as error:
            failed.append(error)
            raise

    async def many() -> list[int]:
        return await asyncio.gather(*[send_and_await(n) for n in range(50)])

    thread = threading.Thread(target=other_thread)
    thread.start()
    while thread.is_alive():
        assert [handle.get(timeout=TESTS_LAST_S) for handle in [add.delay(n, n) for n in range(20)]] == [
            2 * n for n in range(20)
        ]
    thread.join()
    assert not failed


def test_one_handle_awaited_in_a_loop_and_got_in_a_thread(served, gate):
    async def main() -> None:
        handle = await after.adelay(str(gate), 5)
        async with asyncio.TaskGroup() as group:
            awaited = group.create_task(wait_for(handle))
            got = group.create_task(asyncio.to_thread(handle.get, TESTS_LAST_S))
            await listening(served)
            gate.touch()
        assert awaited.result() == got.result() == 5

    in_loop(main())


# -- when things break ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
def test_connections_killed_while_awaiting(served, looker, gate, kind):
    """What was told meanwhile is read from the record."""

    async def main() -> None:
        handles = [await after.adelay(str(gate), n) for n in range(3)]
        waiting = [asyncio.create_task(wait_for(handle)) for handle in handles]
        await listening(served)
        before = set(subscribers(looker))
        for client in looker.client_list(_type=kind):
            if client["name"] == f"taskmesh-{served.name}" and client["cmd"] != "blmpop|blpop":
                looker.client_kill_filter(_id=client["id"])
        gate.touch()
        assert await asyncio.gather(*waiting) == [0, 1, 2]
        if kind == "pubsub":
            assert before.isdisjoint(subscribers(looker))

    in_loop(main())


def test_a_connection_lost_while_nobody_waits(served, looker):
    async def main() -> None:
        await send_and_await(1)
        ear = ear_of(served.portal)
        looker.client_kill_filter(_type="pubsub")
        await await_until(lambda: not ear.round)
        assert await send_and_await(2) == 4

    in_loop(main())


def test_a_node_that_is_away_for_long(served, monkeypatch):
    """Those who give up meanwhile are not kept; those who do not are served when it is back."""
    monkeypatch.setattr("taskmesh.client.ear.AGAIN_S", 0.001)
    away = True
    listen = Ear._listen

    async def listen_when_back(self: Ear, more=()) -> int:
        if away:
            raise NodeUnavailable("away", node="x")
        return await listen(self, more)

    monkeypatch.setattr(Ear, "_listen", listen_when_back)

    async def main() -> None:
        nonlocal away
        handle = await add.adelay(1, 1)
        patient = asyncio.create_task(wait_for(handle))
        for _ in range(50):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait_for(await add.adelay(1, 1)), 0.002)
        await await_until(lambda: len(ear_of(served.portal)._unread) == 1)
        away = False
        assert await patient == 2

    in_loop(main())


def test_a_connection_lost_again_and_again(served, looker, gate):
    async def main() -> None:
        waiting = asyncio.create_task(wait_for(await after.adelay(str(gate), 4)))
        for _ in range(20):
            await await_until(lambda: subscribers(looker))
            looker.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0)
        gate.touch()
        assert await waiting == 4

    in_loop(main())


def test_a_notice_that_is_lost_costs_time_only(served, gate, monkeypatch):
    """Whatever is waited for is looked at now and then, though nothing was heard."""
    monkeypatch.setattr("taskmesh.client.ear.NOBODY_SERVES_S", 0.05)
    monkeypatch.setattr("taskmesh.client.ear.TICK_S", 0.05)
    monkeypatch.setattr(Ear, "_heard", lambda _self, _payload: None)

    async def main() -> None:
        handle = await after.adelay(str(gate), 5)
        waiting = asyncio.create_task(wait_for(handle))
        await listening(served)
        gate.touch()
        assert await waiting == 5

    monkeypatch.setattr("taskmesh.client.ear.READ_AGAIN_S", 0.05)
    in_loop(main())


def test_notices_that_nobody_signed_are_refused(other, gate, looker, caplog):
    """They are neither decoded nor believed, and those who wait go on waiting for the real one."""
    task = other.task(name=after.name)(after.function)

    async def main() -> None:
        handle = await task.adelay(str(gate), 5)
        waiting = asyncio.create_task(wait_for(handle))
        await listening(other)
        channel = keys.channel(other.link.prefix, other.link.channel)
        junk = pickle.dumps(handle.id)
        for payload in (b"", b"zzzzzzzz", b"000000ff", b"%08x%b" % (len(junk), junk), junk):
            looker.publish(channel, payload)
        await await_until(lambda: caplog.text.count("refused") >= 4)
        assert not waiting.done()
        gate.touch()
        assert await waiting == 5

    with caplog.at_level(logging.WARNING, "taskmesh"):
        in_loop(main())


def test_a_record_that_cannot_be_trusted_fails_its_own_waiters_only(served, looker, queue):
    async def main() -> None:
        bad, good = [await add.aapply_async((n, n), queue=queue) for n in range(2)]
        assert bad.revoke()
        assert good.revoke()
        key = keys.record(served.link.prefix, bad.id)
        record = bytearray(looker.get(key))
        record[-1] ^= 1
        looker.set(key, bytes(record))
        there = [served.result(handle.id) for handle in (bad, good)]
        answers = await asyncio.gather(*[wait_for(handle) for handle in there], return_exceptions=True)
        assert [type(answer).__name__ for answer in answers] == ["BadSignature", "TaskRevoked"]

    in_loop(main())


def test_a_key_that_the_mesh_does_not_accept_is_an_error_at_once(served):
    with TaskMesh(served.name, nodes=served.address().url, key="wrong" + 64 * "1") as wrong:

        async def main() -> None:
            answers = await asyncio.gather(
                *[wait_for(wrong.result(f"x{n}")) for n in range(3)],
                wrong.task(name="x")(lambda: None).adelay(),
                return_exceptions=True,
            )
            assert {type(answer) for answer in answers} == {KeyMismatch}

        in_loop(main())


def test_a_queue_that_nobody_serves_is_told_once(served, queue, caplog, monkeypatch):
    monkeypatch.setattr("taskmesh.client.ear.NOBODY_SERVES_S", 0.05)
    monkeypatch.setattr("taskmesh.client.ear.TICK_S", 0.02)

    async def main() -> None:
        queues = [queue, queue, f"{queue}-too"]
        handles = [await add.aapply_async((1, 2), queue=name) for name in queues]
        waiting = [asyncio.create_task(wait_for(handle)) for handle in handles]
        await await_until(lambda: caplog.text.count("nobody serves") >= 2)
        late = asyncio.create_task(wait_for(await add.aapply_async((1, 2), queue=queue)))
        await asyncio.wait([late], timeout=0.3)
        for task in [*waiting, late]:
            task.cancel()
        await asyncio.wait([*waiting, late])

    with caplog.at_level(logging.WARNING, "taskmesh"):
        in_loop(main())
    assert caplog.text.count("nobody serves") == 2
    assert f"-Q {queue}\n" in caplog.text


def test_the_mesh_is_closed_while_somebody_waits(gate):
    """Its private node is gone for good: that is an error, not a wait for ever."""
    mesh = TaskMesh("async-closed", embedded="private", key=async_tasks.KEY)
    task = mesh.task(name="never.run")(lambda: None)

    async def main() -> None:
        waiting = asyncio.create_task(wait_for(await task.adelay()))
        await listening(mesh)
        await asyncio.to_thread(mesh.close)
        with pytest.raises(NodeUnavailable):
            await waiting

    in_loop(main())


def test_the_server_is_restarted(tmp_path, monkeypatch):
    """Sending and waiting go on over the death of the server, under another epoch."""
    settings = {"durability": "process", "key": async_tasks.KEY, "send_timeout": TESTS_LAST_S}
    mesh = TaskMesh("async-restart", embedded="private", **settings)
    task = mesh.task(queue="later")(lambda x, y: x + y)

    async def main() -> None:
        first = await task.adelay(1, 2)
        waiting = asyncio.create_task(wait_for(first))
        await listening(mesh)
        generation = mesh._node.private[0].generation
        os.kill(mesh._node.private[0].server_pid, 9)
        second = await task.adelay(3, 4)
        assert mesh._node.private[0].generation > generation
        assert first.state == second.state == "PENDING"
        workers = mesh.workers(1, queues=("later",))
        await asyncio.to_thread(workers.start)
        try:
            assert await waiting == 3
            assert await second == 7
        finally:
            await asyncio.to_thread(workers.stop)

    with mesh:
        in_loop(main())


# -- looking --------------------------------------------------------------------------------


async def answered(ask) -> None:
    """Ask until the answer is one; the test's own time bounds it."""
    while not await ask():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.005)


def test_a_loop_looks_at_what_waits_and_revokes_it(served, queue):
    async def look() -> None:
        sent = await add.aapply_async((1, 2), queue=queue)
        assert (await sent.astate(), await sent.aready(), await sent.aprogress()) == ("PENDING", False, None)
        found = served.result(sent.id)
        assert await found.arevoke()
        assert (await sent.astate(), await sent.aready(), await found.astate()) == (
            "REVOKED",
            True,
            "REVOKED",
        )

    in_loop(look())


def test_a_loop_sees_what_runs_and_what_that_tells(served, gate):
    async def look() -> None:
        running = await async_tasks.tell.adelay(str(gate))
        await answered(running.aprogress)
        assert await running.astate() == "TELLING"
        assert not await running.aready()
        assert (await running.aprogress()).total == 3
        gate.touch()
        assert await running == "told"
        assert (await running.astate(), await running.aready(), await running.aprogress()) == (
            "SUCCESS",
            True,
            None,
        )

    in_loop(look())


def test_what_has_ended_asks_nobody_any_more(served, monkeypatch):
    async def look() -> None:
        found = served.result((await add.adelay(1, 2)).id)
        await answered(found.aready)
        monkeypatch.setattr("taskmesh.nodes.link.Link.ask", None)
        assert (found.get(), found.state, found.successful()) == (3, "SUCCESS", True)

    in_loop(look())


@pytest.mark.parametrize("task_id", ["never-sent", "no id at all"])
def test_an_id_from_an_address_that_nobody_knows_is_not_found(served, task_id):
    async def look() -> None:
        await served.result(task_id).astate()

    with pytest.raises(TaskNotFound):
        in_loop(look())
