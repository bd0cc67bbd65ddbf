"""`TaskMesh(eager=True)`: as on workers, without any, and without a node."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from dataclasses import dataclass

import pytest

from taskmesh import ResultSet, TaskMesh, current_task
from taskmesh.errors import (
    InvalidTaskId,
    NotPicklable,
    PayloadTooLarge,
    RemoteError,
    ResultExpired,
    TaskNotFound,
    UsageError,
)


class Refused(Exception):
    """An error of a task."""


@dataclass
class Basket:
    """An argument that a task changes."""

    items: list


@pytest.fixture
def mesh(monkeypatch):
    mesh = TaskMesh("eager", eager=True)
    monkeypatch.setattr(mesh, "address", lambda: pytest.fail("an eager mesh looked for a node"))
    return mesh


@pytest.fixture
def add(mesh):
    return mesh.task(add_up)


def add_up(x: int, y: int = 0) -> int:
    return x + y


def facts() -> tuple:
    task = current_task()
    return task.id, task.name, task.queue, task.headers, task.attempt


async def facts_async() -> tuple:
    await asyncio.sleep(0)
    return facts()


def put_in(basket: Basket) -> Basket:
    basket.items.append(1)
    return basket


def refuse(text: str) -> None:
    raise Refused(text)


def test_every_way_of_sending_runs_at_once(mesh, add):
    assert add.delay(1, 2).get() == 3
    assert add.apply_async((1,), {"y": 4}).get(timeout=0) == 5
    assert add.apply((2, 2)).get() == 4
    assert add(3, 3) == 6
    assert add.map([1, 2]).get() == [1, 2]
    assert add.starmap([(1, 2), (3, 4)]).get() == [3, 7]
    assert mesh.submit(lambda x: x + 1, 41).get() == 42
    assert mesh.submit(add, 1, 1).get() == 2
    with mesh.batch() as batch:
        inside = add.delay(1, 1)
        assert inside.get() == 2
        assert len(batch) == 0


def test_the_handle_has_ended(add):
    result = add.delay(1, 2)
    assert (result.state, result.ready(), result.successful(), result.failed()) == (
        "SUCCESS",
        True,
        True,
        False,
    )
    assert result.traceback is None
    assert not result.revoke()


def test_a_task_knows_itself(mesh):
    task = mesh.task(facts)
    result = task.apply_async(task_id="mine", queue="mail", headers={"a": (1, 2)})
    assert result.id == "mine"
    assert result.get() == ("mine", f"{__name__}.facts", "mail", {"a": [1, 2]}, 1), "as msgpack brings it"
    unnamed = task.delay()
    assert unnamed.get()[0] == unnamed.id
    with pytest.raises(UsageError):
        current_task()


def test_many_are_sent_with_the_options_of_one(mesh):
    task = mesh.task(typing=False)(lambda *_: facts())
    options = {"queue": "mail", "headers": {"a": 1}}
    for many in (task.map([1, 2], **options), task.starmap([(1, 2), ()], **options)):
        assert [(queue, headers) for _, _, queue, headers, _ in many.get()] == [("mail", {"a": 1})] * 2
    kept_none = {"ignore_result": True, "result_expires": "2h"}
    assert task.map([1], **kept_none).get() == task.starmap([()], **kept_none).get() == [None]
    for wrong in ({"queue": "a queue"}, {"result_expires": 0}, {"headers": [1]}):
        for send in (task.map, task.starmap):
            with pytest.raises(UsageError):
                send([], **wrong)


def test_tasks_may_call_tasks(mesh):
    inner = mesh.task(facts)

    @mesh.task(name="outer")
    def outer() -> tuple:
        found = inner.delay().get()[0]
        return found, current_task().id

    result = outer.delay()
    assert result.get()[1] == result.id
    assert result.get()[0] != result.id


def test_errors_come_back_as_themselves(mesh):
    result = mesh.task(refuse).delay("no")
    with pytest.raises(Refused, match="no") as caught:
        result.get()
    assert "Remote traceback" in caught.value.__notes__[0]
    assert (result.state, result.failed()) == ("FAILURE", True)
    assert "in refuse" in result.traceback
    found = ResultSet([result, mesh.task(add_up).delay(1)])
    assert [type(value) for value in found.get(propagate=False)] == [Refused, int]
    assert list(found.as_completed(0)) == list(found)


def leave() -> None:
    raise SystemExit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


def cancel_oneself() -> None:
    raise asyncio.CancelledError("as a library may")


def test_what_is_no_exception_fails_the_task_and_ctrl_c_the_caller(mesh):
    for function in (leave, cancel_oneself):
        with pytest.raises(RemoteError):
            mesh.task(function).delay().get()
    with pytest.raises(KeyboardInterrupt):
        mesh.task(interrupt).delay()
    with pytest.raises(UsageError):
        current_task()


def test_arguments_and_values_travel_as_to_a_worker(mesh, add):
    basket = Basket([])
    result = mesh.task(put_in).delay(basket)
    assert result.get() == Basket([1])
    assert basket.items == []
    with pytest.raises(NotPicklable, match="argument 1"):
        add.delay(threading.Lock())
    with pytest.raises(NotPicklable, match="return value"):
        mesh.submit(threading.Lock).get()
    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="by value"):
        mesh.submit(lambda: lock)
    with pytest.raises(InvalidTaskId):
        add.apply_async((1,), task_id="a b")
    with pytest.raises(UsageError, match="headers"):
        add.apply_async((1,), headers={"x": object()})


def test_sizes_are_bounded_too():
    mesh = TaskMesh("eager", eager=True, max_message_size=2000, max_result_size=2000)
    with pytest.raises(PayloadTooLarge, match="max_message_size is 2000"):
        mesh.submit(len, "x" * 3000)
    with pytest.raises(PayloadTooLarge, match="max_result_size is 2000"):
        mesh.submit(str.zfill, "x", 3000).get()


def test_ids_are_remembered(mesh, add):
    first = add.apply_async((1, 1), task_id="twice")
    assert add.apply_async((5, 5), task_id="twice").get() == 2
    assert mesh.result("twice").get() == 2
    assert mesh.result(first.id).state == "SUCCESS"
    with pytest.raises(TaskNotFound):
        mesh.result("never").get()
    with pytest.raises(TaskNotFound):
        assert mesh.result("never").state
    first.forget()
    with pytest.raises(ResultExpired):
        first.get()
    assert first.state == "SUCCESS"


def test_what_nobody_keeps_is_not_kept(mesh):
    task = mesh.task(ignore_result=True)(add_up)
    assert task.delay(1, 2).get() is None
    assert task.apply_async((1, 2), ignore_result=False).get() == 3


def test_coroutines_outside_and_inside_of_a_loop(mesh):
    task = mesh.task(facts_async)
    assert task.apply_async(task_id="outside").get()[0] == "outside"

    async def main():
        inside = task.apply_async(task_id="inside").get()[0]
        awaited = await task.aapply_async(task_id="awaited")
        return inside, (await awaited)[0], (await (await task.adelay()))[1]

    assert asyncio.run(main()) == ("inside", "awaited", f"{__name__}.facts_async")


def test_a_cancelled_coroutine_is_the_callers(mesh):
    @mesh.task(name="sleep")
    async def sleep() -> None:
        await asyncio.sleep(60)

    async def main():
        sending = asyncio.create_task(sleep.adelay())
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    asyncio.run(main())


def test_the_executor_runs_inline(mesh, add):
    with mesh.executor() as executor:
        good, bad = executor.submit(add, 1, 2), executor.submit(refuse, "no")
        assert wait([good, bad], 0).not_done == set()
        assert good.result() == 3
        assert isinstance(bad.exception(), Refused)
        assert not good.cancel()
        assert not good.running()
        assert list(executor.map(add, [1, 2], [3, 4])) == [4, 6]
        assert list(executor.map(lambda x: x * 2, range(5), chunksize=2)) == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(add, 1)


def test_sets_of_results_need_no_node(add):
    found = add.map([1, 2, 3])
    assert found.ready()
    assert found.revoke() == 0
    assert found.join(progress=lambda done, total: None) == [1, 2, 3]
    found.forget()
    assert all(isinstance(error, ResultExpired) for error in found.get(0, propagate=False))
