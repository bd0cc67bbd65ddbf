"""Transactions on a real node: what they do, what they refuse, and who is killed while making one."""

from __future__ import annotations

import asyncio
import time

import pytest

from taskmesh import TaskMesh
from taskmesh.consensus.listing import names
from taskmesh.consensus.scripts import ACCEPT
from taskmesh.core.steps import NoAnswer
from taskmesh.errors import (
    Fenced,
    IdempotencyConflict,
    LockError,
    PayloadTooLarge,
    TaskNotFound,
    TransactionConflict,
    TransactionUnknown,
    UsageError,
)
from taskmesh.results.read import read
from taskmesh.scheduler.candidate import Standing
from tests.apps.recording_broker import Recorder
from tests.integration.transactors import MESSAGES, check, finish, is_done, kill_many, open_ones
from tests.support import wait_until


@pytest.fixture
def add(mesh):
    def add(a: int, b: int) -> int:
        return a + b

    return mesh.task(name="add")(add)


def recorded(mesh, *handles) -> list[bool]:
    found = mesh.link.run(read(mesh.link.session, [handle.id for handle in handles], patience_s=10.0))
    return [each is not None for each in found]


def test_all_of_it_is_done_at_the_end_and_nothing_before(mesh, other, add):
    mesh.files.write("gone", b"")
    with mesh.lock("x") as lock:
        with mesh.transaction() as tx:
            one = add.delay(1, 2)
            by_value = mesh.submit(lambda: 1)
            many = add.starmap([(at, at) for at in range(5)])
            tx.write("conf/limit", "10")
            tx.write("conf/limit", "11")
            tx.delete("gone")
            tx.release(lock)
            assert recorded(other, one, by_value, *many) == [False] * 7
            assert mesh.files.read("conf/limit") is None
            assert lock.is_held
            with pytest.raises(TaskNotFound, match="stands in a transaction that was not sent"):
                one.get(timeout=1)
        assert tx.state == "done"
        assert recorded(other, one, by_value, *many) == [True] * 7
        assert mesh.files.read("conf/limit").text == "11"
        assert mesh.files.read("gone") is None
        assert not lock.is_held
        assert other.lock("x").acquire(wait=0)
    assert "tx/" + tx.id in mesh.agreement.run(names(mesh.agreement.registers, "tx/"))


def test_a_lock_that_stands_in_no_block_is_held_no_more(mesh, other):
    lock = mesh.lock("x")
    lock.acquire()
    with mesh.transaction() as tx:
        tx.release(lock)
    with pytest.raises(LockError, match="not held"):
        lock.release()
    assert other.lock("x").acquire(wait=0)


def test_who_leaves_by_an_exception_has_done_nothing(mesh, add):
    lock = mesh.lock("x")
    lock.acquire()

    def broken():
        with mesh.transaction() as tx:
            handles.append(add.delay(1, 2))
            tx.write("conf/limit", "10")
            tx.release(lock)
            raise ValueError(tx)

    handles = []
    with pytest.raises(ValueError) as caught:
        broken()
    assert caught.value.args[0].state == "aborted"
    assert recorded(mesh, *handles) == [False]
    assert mesh.files.read("conf/limit") is None
    assert lock.is_held


def test_in_an_event_loop(mesh, add):
    async def main():
        lock = mesh.lock("x")
        async with lock, mesh.transaction() as tx:
            handle = await add.adelay(1, 2)
            tx.write("conf/limit", "10")
            tx.release(lock)
        return tx.state, handle, (await mesh.files.aread("conf/limit")).text

    state, handle, text = asyncio.run(main())
    assert (state, text) == ("done", "10")
    assert recorded(mesh, handle) == [True]


def test_the_same_id_is_done_once_and_its_handles_are_those_of_the_first(mesh, other, add):
    other.task(name="add")(lambda a, b: a + b)

    def order(mesh, a):
        with mesh.transaction("order-7") as tx:
            handle = mesh.tasks["add"].delay(a, 2)
            tx.write("orders/7", "paid")
        return tx, handle

    first, again = order(mesh, 1), order(other, 1)
    assert again[0].state == "done"
    assert again[1].id == first[1].id
    assert again[1].duplicate
    assert mesh.files.read("orders/7").generation == 1
    with pytest.raises(
        TransactionConflict, match="transaction order-7: this id was decided for something else"
    ):
        order(mesh, 2)
    assert mesh.files.read("orders/7").generation == 1


def test_a_message_for_whose_key_there_is_another_counts_as_sent(mesh, add):
    first = add.apply_async((1, 2), idempotency_key="k")
    with mesh.transaction() as tx:
        same = add.apply_async((1, 2), idempotency_key="k")
    assert (tx.state, same.id, same.duplicate) == ("done", first.id, True)

    def conflicting():
        with mesh.transaction() as tx:
            add.apply_async((3, 4), idempotency_key="k")
            tx.write("conf/limit", "10")

    with pytest.raises(IdempotencyConflict, match=r"is done, and its message .* is not recorded"):
        conflicting()
    assert mesh.files.read("conf/limit").text == "10"


def test_what_cannot_be_is_refused_before_the_decision(mesh, add):
    def large():
        with mesh.transaction() as tx:
            add.delay(1, 2)
            for at in range(100):
                tx.write(f"large/{at}", b"x" * 64 * 1024)

    with pytest.raises(PayloadTooLarge, match=r"bytes all in all, and at most 4194304"):
        large()

    def many():
        with mesh.transaction():
            add.starmap([(at, at) for at in range(1001)])

    with pytest.raises(UsageError, match="1001 messages, and at most 1000"):
        many()
    mesh.files.write("fenced", b"", fence=5)

    def fenced():
        with mesh.transaction() as tx:
            add.delay(1, 2)
            tx.write("fenced", b"later")

    with pytest.raises(Fenced):
        fenced()
    assert mesh.agreement.run(names(mesh.agreement.registers, "tx/")) == []
    for wrong in ("a b", "", "a/b", "x" * 101, 7):
        with pytest.raises(UsageError, match="transaction id"):
            mesh.transaction(wrong)
    for outer, inner in ((mesh.transaction, mesh.batch), (mesh.batch, mesh.transaction)):
        says = rf"mesh.{inner.__name__}\(\) inside mesh.{outer.__name__}\(\)"
        with outer(), pytest.raises(UsageError, match=says), inner():
            pass
    with mesh.transaction() as tx:
        pass
    with pytest.raises(UsageError, match="inside its `with` block"):
        tx.write("conf/limit", "10")
    with mesh.transaction() as tx, pytest.raises(LockError, match="not held"):
        tx.release(mesh.lock("x"))


def test_what_may_be_decided_is_run_again(mesh, add, monkeypatch):
    """The answer to the decision is lost, whatever became of it."""
    registers, lock = mesh.coordinator.means.registers, mesh.lock("x")
    perform, lost = mesh.agreement.driver.perform, []
    lock.acquire()

    def lose(request):
        is_of_it = any(b"tx/order" in call.args for call in request.calls)
        if lost and is_of_it:
            return [NoAnswer("nobody answers") for _ in request.calls]
        replies = perform(request)
        if is_of_it and request.calls[0].script is ACCEPT:
            lost.append(request)
            return [NoAnswer("lost on the way back") for _ in replies]
        return replies

    def order():
        with mesh.transaction("order") as tx:
            handle = add.delay(1, 2)
            tx.release(lock)
        return tx, handle

    monkeypatch.setattr(registers, "patience_s", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(mesh.agreement.driver, "perform", lose)
        with pytest.raises(TransactionUnknown, match="Run it again with id='order'"):
            order()
    assert lost
    assert not lock.is_held
    finish(mesh)
    with mesh.transaction("order") as tx:
        handle = add.delay(1, 2)
        lock.acquire(wait=90)
        tx.release(lock)
    assert (tx.state, handle.duplicate) == ("done", True)
    assert recorded(mesh, handle) == [True]


def test_whoever_is_killed_leaves_all_or_none(url, make_mesh):
    mesh = make_mesh()
    heard = kill_many(mesh, [url], "", 14, seed=int(time.time()))
    check(mesh, heard)
    assert is_done(mesh, 0)


def test_the_leader_does_what_its_process_only_decided(url, make_mesh, monkeypatch):
    monkeypatch.setattr("taskmesh.scheduler.care.CARE_S", 0.05)
    mesh, own = make_mesh(), make_mesh()
    heard = kill_many(mesh, [url], "", 4, 0, "decided")
    assert heard == {0: True, 1: True, 2: False, 3: False}
    assert len(open_ones(mesh)) == 2
    broker = Recorder("", own.name)
    standing = Standing(own.link, own.agreement, "cat", broker=broker).start()
    try:
        wait_until(lambda: not open_ones(mesh), what="the leader has done them")
    finally:
        standing.join(90)
    assert sum(count for _, count in broker.told) >= 2 * MESSAGES
    assert [is_done(mesh, number) for number in heard] == [True] * 4


def test_in_an_eager_mesh_tasks_run_at_once_and_files_are_written_at_the_end(url):
    with TaskMesh("eager-transaction", nodes=[url], eager=True) as mesh:
        task = mesh.task(name="add")(lambda a, b: a + b)
        with mesh.transaction() as tx:
            assert task.delay(1, 2).get() == 3
            tx.write("conf/limit", "10")
            assert mesh.files.read("conf/limit") is None
        assert mesh.files.read("conf/limit").text == "10"
