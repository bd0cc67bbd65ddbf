"""Calls as a user writes them, for mypy to judge; see `test_typed_calls.py`. Nothing here is run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, assert_type

from taskmesh import (
    AsyncResult,
    Attempt,
    BaseTask,
    CurrentTask,
    Middleware,
    ResultSet,
    State,
    Task,
    TaskMesh,
    WorkerContext,
)

mesh = TaskMesh("typed")


@mesh.task
def add(a: int, b: int = 0) -> int:
    return a + b


@mesh.task(queue="mail", ignore_result=True, typing=False)
def send_mail(to: str, *, subject: str) -> None:
    print(to, subject)


@mesh.task
async def fetch(url: str) -> bytes:
    await asyncio.sleep(0)
    return url.encode()


@mesh.task(queue="slow")
async def count(url: str) -> int:
    return len(url)


@mesh.cron("0 3 * * *", kwargs={"table": "orders"})
def nightly(table: str, *, limit: int = 10) -> list[str]:
    return [table] * limit


@mesh.every("30s", args=("orders",))
@mesh.task(queue="slow")
def poll(table: str) -> int:
    return len(table)


@mesh.every(5, args=("x",))
async def look(url: str) -> bytes:
    return url.encode()


@mesh.cron("* * * * *", args=("x",))
@mesh.task
async def watch(url: str) -> bytes:
    return url.encode()


class Charge(BaseTask):
    queue = "mail"
    priority = 7

    def run(self, cents: int, *, currency: str = "EUR") -> str:
        return f"{cents} {currency}"


class Fetch(BaseTask):
    async def run(self, url: str) -> bytes:
        return url.encode()


charge = mesh.register_task(Charge())


@mesh.task(base=Charge)
def based(x: int) -> int:
    return x


@mesh.on_child_start
def connect(worker: WorkerContext) -> None:
    print(worker.name, worker.child)


@mesh.on_failure
def tell(task: CurrentTask, error: BaseException) -> None:
    print(task.id, error)


class Timing(Middleware):
    def after_task(self, task: CurrentTask, state: State, seconds: float) -> None:
        print(task.name, state, seconds)


mesh.add_hooks(Timing())


def right_with_classes() -> None:
    assert_type(charge.delay(5), AsyncResult[str])
    assert_type(charge.delay(5, currency="CHF").get(), str)
    assert_type(charge(5), str)
    assert_type(based.delay(5), AsyncResult[int])
    assert_type(connect(WorkerContext("w", ())), None)
    mesh.autodiscover_tasks(["shop"])


def wrong_with_classes() -> None:
    charge.delay("5")  # E: incompatible type "str"
    charge.delay()  # E: cents
    mesh.register_task(object())  # E: incompatible type "object"


@mesh.before_task  # E: type variable
def wants_nothing() -> None:
    pass


@mesh.task(bind=True, max_retries=None, autoretry_for=(OSError,), retry_backoff=True)
def bound(self: Task[..., int], a: int, *, b: str = "") -> int:
    if self.request.retries:
        raise self.retry(args=(a,), countdown=3)
    return len(b) + a


@mesh.task(bind=True)
async def bound_async(self: object, a: int) -> str:
    return f"{self} {a}"


def right_for_bound_tasks() -> None:
    """Callers leave out the first argument."""
    assert_type(bound.delay(1, b="x"), AsyncResult[int])
    assert_type(bound(1), int)
    assert_type(bound_async.delay(1).get(), str)
    assert_type(bound.delay(1).attempts, list[Attempt])
    assert_type(bound.max_retries, int | None)


def wrong_for_bound_tasks() -> None:
    bound.delay("x")  # E: Argument 1 to "delay"
    bound.delay(bound, 1)  # E: Too many positional arguments
    bound_async.delay()  # E: Missing positional argument "a"
    mesh.task(max_retries="3")  # E: No overload variant
    mesh.task(autoretry_for=3)  # E: No overload variant


def right() -> None:
    assert_type(add(1, 2), int)
    assert_type(add.delay(1, 2), AsyncResult[int])
    assert_type(add.delay(1, b=2), AsyncResult[int])
    assert_type(add.delay(1).get(), int)
    assert_type(add.delay(1).get(timeout=5), int)
    assert_type(add.apply_async((1, 2), queue="slow", task_id="x"), AsyncResult[int])
    assert_type(add.apply((1, 2)), AsyncResult[int])
    assert_type(mesh.send_task("app.add", (1, 2), queue="slow", priority=9), AsyncResult[Any])
    assert_type(add.map([1, 2]), ResultSet[int])
    assert_type(add.starmap([(1, 2), (3, 4)]), ResultSet[int])
    assert_type(add.starmap([(1, 2)]).get(), list[int])
    assert_type(add.map([1], queue="slow", headers={"a": 1}), ResultSet[int])
    assert_type(add.starmap([(1,)], ignore_result=True, result_expires="1h"), ResultSet[int])
    assert_type([each.get() for each in add.map([1]).as_completed()], list[int])
    assert_type(send_mail.delay("a@b.c", subject="hi"), AsyncResult[None])
    assert_type(mesh.submit(len, "abc"), AsyncResult[int])
    assert_type(mesh.submit(add.function, 1, b=2).get(), int)
    assert_type(mesh.submit(fetch.function, "x"), AsyncResult[bytes])
    assert_type(mesh.by_value(len).apply_async(("abc",), queue="slow"), AsyncResult[int])
    assert_type(mesh.by_value(fetch.function).delay("x"), AsyncResult[bytes])
    TaskMesh("x", result_expires="1h", nodes=["redis://localhost"], eager=True)
    assert_type(add.delay(1).ready(), bool)
    assert_type(add.delay(1).traceback, str | None)
    assert_type(add.delay(1).id, str)


def right_for_async_functions() -> None:
    """What comes back is the value, not the coroutine."""
    assert_type(fetch.delay("x"), AsyncResult[bytes])
    assert_type(fetch.delay("x").get(), bytes)
    assert_type(count.map(["x"]), ResultSet[int])


async def right_in_an_event_loop() -> None:
    assert_type(await add.adelay(1, 2), AsyncResult[int])
    assert_type(await add.aapply_async((1, 2)), AsyncResult[int])
    assert_type(await mesh.asend_task("app.add", (1, 2), {"c": 3}), AsyncResult[Any])
    assert_type(await (await add.adelay(1, 2)), int)
    assert_type(await fetch.delay("x"), bytes)
    assert_type(await fetch("x"), bytes)


def right_with_the_executor() -> None:
    with mesh.executor() as executor:
        assert_type(executor.submit(pow, 2, 3).done(), bool)
        assert_type(list(executor.map(str, [1, 2])), list[str])


def wants_a_function(function: Callable[[int, int], int]) -> int:
    return function(1, 2)


def a_task_is_a_function() -> None:
    assert_type(wants_a_function(add), int)


def wrong() -> None:
    add.delay("1", 2)  # E: Argument 1 to "delay"
    add.delay(1, c=2)  # E: Unexpected keyword argument "c"
    add.delay()  # E: Missing positional argument "a"
    add.delay(1, 2, 3)  # E: Too many arguments
    add(1, "2")  # E: Argument 2 to "__call__"
    send_mail.delay("a@b.c")  # E: Missing named argument "subject"
    send_mail.delay("a@b.c", "hi")  # E: Too many positional arguments
    text: str = add.delay(1).get()  # E: Incompatible types in assignment
    add.apply_async((1, 2), priorty=3)  # E: Unexpected keyword argument "priorty"
    add.apply_async((1, 2), queue=3)  # E: Argument "queue" to "apply_async"
    mesh.send_task("app.add", (1, 2), priorty=3)  # E: Unexpected keyword argument "priorty"
    mesh.send_task("app.add", 5)  # E: Argument 2 to "send_task"
    add.map([1], task_id="x")  # E: Unexpected keyword argument "task_id"
    add.starmap([(1,)], queue=3)  # E: Argument "queue" to "starmap"
    add.dealy(1)  # E: has no attribute "dealy"
    mesh.task(3)  # E: No overload variant
    mesh.task(queu="x")  # E: Unexpected keyword argument "queu"
    mesh.submit(len)  # E: No overload variant of "submit"
    mesh.submit(len, 3)  # E: No overload variant of "submit"
    TaskMesh()  # E: Missing positional argument "name"
    TaskMesh("x", nodez=["redis://a"])  # E: Unexpected keyword argument "nodez"
    fetch.delay(3)  # E: Argument 1 to "delay"
    data: str = fetch.delay("x").get()  # E: Incompatible types in assignment
    print(text, data)


async def wrong_in_an_event_loop() -> None:
    await add.adelay("x")  # E: Argument 1 to "adelay"
    number: str = await (await add.adelay(1))  # E: Incompatible types in assignment
    print(number)


def scheduled_tasks() -> None:
    assert_type(nightly.delay("orders", limit=3), AsyncResult[list[str]])
    assert_type(nightly("orders"), list[str])
    assert_type(poll.delay("orders"), AsyncResult[int])
    assert_type(look.delay("x"), AsyncResult[bytes])
    assert_type(watch.delay("x"), AsyncResult[bytes])
    nightly.delay(1)  # E: incompatible type "int"; expected "str"
    nightly.delay("orders", most=3)  # E: Unexpected keyword argument "most"
    poll.delay()  # E: Missing positional argument "table"
    look.delay(1)  # E: incompatible type "int"; expected "str"
    watch.delay(1)  # E: incompatible type "int"; expected "str"
