"""Whatever way a message is sent, a broker is told of its queue: once for many, and not before it may be claimed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taskmesh import TaskMesh
from taskmesh.cli.dead import send_again
from taskmesh.errors import BatchError, BrokerRefused, IdempotencyConflict
from taskmesh.testing.thread_worker import ThreadWorker

pytestmark = pytest.mark.needs_server


def test_a_call_announces_its_queue(mesh, add):
    add.delay(1, 2)
    add.apply_async((1, 2), queue="mail")
    mesh.send_task("elsewhere.task", (1,), queue="far")
    mesh.submit(lambda: 1)
    assert mesh.broker.told == [("default", 1), ("mail", 1), ("far", 1), ("default", 1)]


def test_what_is_not_due_is_not_announced(mesh, add):
    add.apply_async((1, 2), countdown=60)
    add.apply_async((1, 2), eta=datetime.now(UTC) + timedelta(hours=1))
    assert mesh.broker.told == []


def test_many_are_announced_once_per_queue(mesh, add):
    add.starmap([(n, n) for n in range(700)])
    assert mesh.broker.told == [("default", 700)]


def test_a_batch_is_announced_when_it_is_sent(mesh, add):
    with mesh.batch():
        for queue in ("a", "b", "a"):
            add.apply_async((1, 2), queue=queue)
        add.apply_async((1, 2), queue="late", countdown=60)
        assert mesh.broker.told == []
    assert sorted(mesh.broker.told) == [("a", 2), ("b", 1)]


def test_an_executor_announces(mesh, add):
    with mesh.executor(queue="pool") as executor:
        executor.submit(pow, 2, 3).cancel()
    assert mesh.broker.told == [("pool", 1)]


def test_a_transaction_announces_once_it_is_done(mesh, add):
    with mesh.transaction():
        add.delay(1, 2)
        assert mesh.broker.told == []
    assert mesh.broker.told == [("default", 1)]


def test_a_dead_letter_that_is_sent_again_is_announced(mesh):
    @mesh.task(queue="fails")
    def fail():
        raise ValueError

    with ThreadWorker(mesh, queues=("fails",)):
        failed = fail.delay()
        failed.get(propagate=False, timeout=60)
    mesh.broker.told.clear()
    send_again(mesh, failed.id)
    assert mesh.broker.told == [("fails", 1)]


def test_what_was_refused_is_not_announced(mesh, add):
    add.apply_async((1, 2), idempotency_key="once")
    mesh.broker.told.clear()
    with pytest.raises(IdempotencyConflict):
        add.apply_async((3, 4), idempotency_key="once")
    with pytest.raises(BatchError):
        two_of_which_one_is_refused(mesh, add)
    assert mesh.broker.told == [("mail", 1)]


def two_of_which_one_is_refused(mesh, add):
    with mesh.batch():
        add.apply_async((3, 4), idempotency_key="once")
        add.apply_async((5, 6), queue="mail")


def test_coroutines_announce(mesh, add):
    async def main():
        await add.adelay(1, 2)
        await asyncio.gather(*(add.aapply_async((n, n), queue="many") for n in range(50)))
        await add.aapply_async((1, 2), task_id="chosen-by-hand", queue="own")
        async with mesh.transaction():
            await add.aapply_async((1, 2), queue="all")

    asyncio.run(main())
    counts = {}
    for queue, count in mesh.broker.told:
        counts[queue] = counts.get(queue, 0) + count
    assert counts == {"default": 1, "many": 50, "own": 1, "all": 1}
    assert len(mesh.broker.told) < 50


def test_a_broker_of_somebody_else_is_told_the_whole_address_and_the_mesh(mesh):
    assert mesh.broker.address == "tests.apps.recording_broker:Recorder?of=tests"
    assert mesh.broker.mesh == "recorded"


def test_a_mesh_without_a_broker_has_none():
    assert TaskMesh("plain", embedded="private").broker is None


def test_a_mesh_that_is_closed_closes_its_broker_and_may_go_on():
    with TaskMesh("closed", embedded="private", broker="tests.apps.recording_broker:Recorder") as mesh:
        broker = mesh.broker
    assert broker.closed == 1
    assert mesh.broker is broker


def test_another_broker_can_be_put_in_place_of_that_of_the_settings(mesh, add):
    before = mesh.broker
    try:
        mesh.use_broker("tests.apps.recording_broker:Recorder?other")
        add.delay(1, 2)
        assert (before.told, mesh.broker.told) == ([], [("default", 1)])
        assert mesh.settings.source_of("broker") == "option -b"
        mesh.use_broker("mesh")
        add.delay(1, 2)
        assert mesh.broker is None
    finally:
        mesh.use_broker(before.address)
    assert before.closed == 1


def test_a_broker_that_cannot_be_imported_is_refused_where_it_is_needed_first():
    mesh = TaskMesh("lost", embedded="private", broker="tests.apps.recording_broker:Nobody")
    with pytest.raises(BrokerRefused, match="Nobody"):
        mesh.broker  # noqa: B018 - making it is what is tried
