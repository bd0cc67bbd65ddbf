"""Sending: batches, what is rejected, what may have been recorded, options."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.client.result_set import ResultSet
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused
from taskmesh.errors import (
    BatchError,
    IdempotencyConflict,
    NotPicklable,
    PayloadTooLarge,
    QueueFull,
    SendRejected,
    SendUnknown,
    TaskExpired,
    TaskNotFound,
    TaskTimeout,
    UsageError,
)
from tests.integration.client.node import Counted
from tests.support import wait_until

ROOT = Path(__file__).parents[3]

TIMEOUT_S = 90.0
FULL = NodeError("OOM command not allowed when used memory > 'maxmemory'")


class Faults:
    """Spoils calls that enqueue on their way to the node, or loses the replies on their way back."""

    def __init__(self, mesh: TaskMesh, monkeypatch) -> None:
        self.spoil = lambda call, number: None
        self.lose_reply = lambda call, number: False
        self._number = 0
        driver = mesh.link.open().driver
        self._run = driver.run
        monkeypatch.setattr(driver, "run", self._spoiled)

    def _spoiled(self, steps, within_s=None):
        try:
            request = next(steps)
            while True:
                replies = [] if isinstance(request, Pause) else [self._perform(call) for call in request]
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value

    def _perform(self, call: Call):
        if call.script is None or call.script.name != "queue.enqueue":
            return self._run(one(call))
        self._number += 1
        fault = self.spoil(call, self._number)
        if fault is not None:
            return fault
        reply = self._run(one(call))
        return NoAnswer("lost") if self.lose_reply(call, self._number) else reply


def one(call: Call):
    (reply,) = yield [call]
    return reply


@pytest.fixture
def impatient(make_mesh):
    """A mesh that gives up soon."""
    return make_mesh(send_timeout=0.1)


@pytest.fixture
def add(app, impatient):
    return type(app.add)(impatient, app.add.function, app.add.name, app.add.options)


@pytest.fixture
def faults(impatient, monkeypatch):
    return Faults(impatient, monkeypatch)


# -- batches ----------------------------------------------------------------------


def test_a_batch_is_sent_at_its_end_in_few_round_trips(app, mesh, monkeypatch):
    counted = Counted(mesh, monkeypatch)
    with mesh.batch() as batch:
        sent = [app.add.delay(n, 1) for n in range(500)]
        assert len(batch) == 500
        assert counted("enqueue") == counted("enqueue_one") == 0
    assert (counted("enqueue"), counted("enqueue_one"), len(batch)) == (1, 0, 0)
    assert [result.get(timeout=TIMEOUT_S) for result in sent] == [n + 1 for n in range(500)]


def test_a_batch_holds_every_way_of_sending(app, mesh):
    with mesh.batch() as batch:
        one = mesh.submit(lambda: "by value")
        many = app.add.map(range(3))
        named = app.add.apply_async((1, 1), task_id="in-a-batch", queue="default")
        again = app.add.apply_async((9, 9), task_id="in-a-batch")
        assert len(batch) == 5
    assert one.get(timeout=TIMEOUT_S) == "by value"
    assert many.get(TIMEOUT_S) == [0, 1, 2]
    assert named.get(timeout=TIMEOUT_S) == again.get(timeout=TIMEOUT_S) == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_batch_left_by_an_exception_sends_nothing(app, mesh, error):
    """However many were collected."""
    sent = []

    def collect():
        with mesh.batch():
            sent.extend(app.add.map(range(5000)))
            raise error

    with pytest.raises(error):
        collect()
    for result in (sent[0], sent[-1]):
        with pytest.raises(TaskNotFound, match="batch that was not sent"):
            result.get(timeout=TIMEOUT_S)
    assert app.add.delay(1).get(timeout=TIMEOUT_S) == 1, "and the next message goes at once"


def test_results_cannot_be_had_inside_the_block(app, mesh):
    with mesh.batch():
        result = app.add.delay(1, 1)
        for look in (result.get, result.ready, result.revoke):
            with pytest.raises(TaskNotFound, match="stands in a batch"):
                look()
    assert result.get(timeout=TIMEOUT_S) == 2


def test_a_batch_inside_a_batch_is_refused_and_does_no_harm(app, mesh):
    with mesh.batch() as batch:
        app.add.delay(1)
        with pytest.raises(UsageError, match=r"mesh\.batch\(\) inside"), mesh.batch():
            pass
        app.add.delay(2)
        assert len(batch) == 2


def test_batches_of_two_meshes_are_apart(app, mesh, other):
    theirs = type(app.add)(other, app.add.function, app.add.name, app.add.options)
    with mesh.batch() as one, other.batch() as two:
        app.add.delay(1)
        theirs.delay(2)
        theirs.delay(3)
        assert (len(one), len(two)) == (1, 2)


def test_a_batch_belongs_to_its_thread(app, mesh):
    with mesh.batch() as batch:
        found = []
        thread = threading.Thread(target=lambda: found.append(app.add.delay(1, 1).get(timeout=TIMEOUT_S)))
        thread.start()
        thread.join(TIMEOUT_S)
        assert found == [2]
        assert len(batch) == 0


def test_a_batch_belongs_to_its_coroutine(app, mesh):
    async def main():
        opened, go_on = asyncio.Event(), asyncio.Event()

        async def collect():
            with mesh.batch() as batch:
                app.add.delay(1)
                opened.set()
                await go_on.wait()
                return len(batch)

        collecting = asyncio.create_task(collect())
        await opened.wait()
        app.add.delay(2)
        go_on.set()
        return await collecting

    assert asyncio.run(main()) == 1


def test_what_outlives_the_block_is_sent(app, mesh):
    """A context that was copied inside the block still names the batch, which nobody sends any more."""
    with mesh.batch():
        context = contextvars.copy_context()
    assert context.run(app.add.delay, 1, 1).get(timeout=TIMEOUT_S) == 2


# -- what goes wrong on the way ---------------------------------------------------


def test_a_lost_reply_is_asked_for_again_and_runs_once(app, add, faults):
    faults.lose_reply = lambda call, number: number == 1
    result = add.delay(1, 1)
    assert result.get(timeout=TIMEOUT_S) == 2


def test_what_never_arrived_is_rejected(add, faults):
    faults.spoil = lambda call, number: Refused("nobody there")
    with pytest.raises(SendRejected, match="nobody there") as caught:
        add.delay(1)
    assert not isinstance(caught.value, QueueFull)
    assert caught.value.task_id


def test_a_full_node_is_told(add, faults):
    faults.spoil = lambda call, number: FULL
    with pytest.raises(QueueFull, match="memory is full"):
        add.delay(1)


def test_what_may_have_arrived_is_unknown_and_can_be_sent_again(app, mesh, add, faults):
    faults.lose_reply = lambda call, number: True
    with pytest.raises(SendUnknown) as caught:
        add.delay(1, 1)
    faults.lose_reply = lambda call, number: False
    result = add.apply_async((1, 1), task_id=caught.value.task_id)
    assert result.get(timeout=TIMEOUT_S) == 2


def test_what_may_have_arrived_stays_unknown_when_it_is_refused_afterwards(add, faults):
    faults.lose_reply = lambda call, number: number == 1
    faults.spoil = lambda call, number: FULL if number > 1 else None
    with pytest.raises(SendUnknown):
        add.delay(1, 1)


def test_a_batch_tells_what_became_of_each_and_sends_the_rest_again(impatient, add, faults):
    """Calls of 250: the first is accepted, the second rejected, of the third the reply is lost for good."""
    third = set()

    def spoil(call, number):
        return FULL if number == 2 else None

    def lose(call, number):
        if number == 3:
            third.add(call.args[2:])
        return call.args[2:] in third

    faults.spoil, faults.lose_reply = spoil, lose
    with pytest.raises(BatchError) as caught, impatient.batch() as batch:
        sent = [add.delay(n) for n in range(750)]
    error = caught.value
    ids = [result.id for result in sent]
    assert error.accepted == ids[:250]
    assert list(error.rejected) == ids[250:500]
    assert error.unknown == ids[500:]
    assert "of 750 messages 250 were accepted, 250 rejected, 250 may or may not" in str(error)
    assert error.batch is batch
    assert len(batch) == 500
    with pytest.raises(TaskNotFound, match="did not accept whole"):
        sent[250].get(timeout=TIMEOUT_S)
    assert sent[500].get(timeout=TIMEOUT_S) == 500, "it was recorded, after all"

    faults.spoil = lambda call, number: FULL
    with pytest.raises(BatchError) as caught:
        error.batch.send()
    assert list(caught.value.rejected) == ids[250:500], "rejected again, and certainly"
    assert caught.value.unknown == ids[500:], "which may have been recorded before"

    faults.spoil, faults.lose_reply = (lambda call, number: None), (lambda call, number: False)
    error.batch.send()
    assert len(batch) == 0
    assert [result.get(timeout=TIMEOUT_S) for result in sent] == list(range(750))


def test_a_map_that_fails_in_part_gives_all_handles(app, impatient, add, faults):
    faults.spoil = lambda call, number: FULL if number == 2 else None
    with pytest.raises(BatchError) as caught:
        add.map(range(4500))
    error = caught.value
    assert (len(error.results), len(error.accepted), len(error.rejected)) == (4500, 4250, 250)
    missed = error.results[250]
    assert missed.id in error.rejected
    with pytest.raises(TaskNotFound, match="did not accept whole"):
        missed.get(timeout=TIMEOUT_S)
    app.mesh.pause_queue("default")
    try:
        error.batch.send()
        # asked for in vain before it was sent again: that is no answer any more
        with pytest.raises(TaskTimeout):
            ResultSet([missed], impatient.portal).get(0.2)
    finally:
        app.mesh.resume_queue("default")
    assert error.results.get(TIMEOUT_S) == list(range(4500))


def test_an_executor_cancels_what_was_sent_of_a_map_that_fails(impatient, app, faults, holds):
    holds.all_children()
    faults.spoil = lambda call, number: FULL if number == 2 else None
    executor = impatient.executor()
    try:
        with pytest.raises(BatchError) as caught:
            executor.map(app.add.function, range(500))
        states = {app.mesh.result(task_id).state for task_id in caught.value.accepted}
        assert states == {"REVOKED"}
    finally:
        executor.shutdown(cancel_futures=True)


def test_functions_sent_by_value_go_again_when_the_node_lacks_them(mesh, faults, impatient):
    stamp = object().__hash__()
    sent = [impatient.submit(lambda: stamp) for _ in range(3)]
    assert [result.get(timeout=TIMEOUT_S) for result in sent] == [stamp] * 3


# -- options ----------------------------------------------------------------------


def test_headers_and_ids_reach_the_task(app):
    headers = {"trace": "x1", "n": [1, {"deep": None}]}
    result = app.who.apply_async((True,), task_id="with-headers", headers=headers)
    assert result.get(timeout=TIMEOUT_S) == ("with-headers", "tests.apps.client_tasks.who", headers)
    assert app.who_async.apply_async(task_id="async-id").get(timeout=TIMEOUT_S) == "async-id"


def test_headers_reach_each_of_many(app):
    (sent,) = app.who.map([True], headers={"who": "all"}, queue="default")
    assert sent.get(timeout=TIMEOUT_S) == (sent.id, app.who.name, {"who": "all"})
    kept_none = app.echo.starmap([(1,), (2,)], ignore_result=True)
    assert kept_none.get(timeout=TIMEOUT_S) == [None, None]


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "a b"}, {"queue": ""}, {"queue": "mail=3"}, {"queue": 3}, {"queue": "a" * 101},
        {"headers": {1: "x"}}, {"headers": ["x"]}, {"headers": {"x": object()}}, {"headers": {"x": 1 << 70}},
        {"result_expires": 0}, {"result_expires": "soon"}, {"result_expires": True},
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(app, options):
    with pytest.raises(UsageError):
        app.add.apply_async((1, 1), **options)


@pytest.mark.parametrize("expires", [60, 90.5, "1h30m", timedelta(minutes=5)])
def test_lifetimes_have_many_forms(app, expires):
    assert app.add.apply_async((1, 1), result_expires=expires).get(timeout=TIMEOUT_S) == 2


def test_two_functions_of_one_name_are_refused(make_mesh, app):
    mesh = make_mesh()
    mesh.task(app.add.function, name="one")
    mesh.task(app.add.function, name="one")
    with pytest.raises(UsageError, match="two functions"):
        mesh.task(app.refuse.function, name="one")
    with pytest.raises(UsageError, match="prio"):
        mesh.task(prio=3)


def test_arguments_that_cannot_be_sent_are_named(app, make_mesh):
    with pytest.raises(NotPicklable, match="argument 2"):
        app.add.delay(1, threading.Lock())
    small = make_mesh(max_message_size=2000)
    with pytest.raises(PayloadTooLarge, match="max_message_size is 2000"):
        small.submit(len, "x" * 3000)


def test_threads_may_open_a_mesh_at_once(make_mesh, app):
    mesh = make_mesh()
    found = []
    barrier = threading.Barrier(8)

    def use():
        barrier.wait(TIMEOUT_S)
        found.append((mesh.portal, mesh.link, mesh.submit(len, "abc").get(timeout=TIMEOUT_S)))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    wait_until(lambda: len(found) == 8, TIMEOUT_S)
    assert len(set(found)) == 1


def test_an_id_that_was_given_before_is_told(app, make_mesh):
    first = app.add.apply_async((1, 1), task_id="given-before", queue="nobody-given")
    again = app.add.apply_async((9, 9), task_id="given-before", queue="nobody-given")
    elsewhere = type(app.add)(make_mesh(), app.add.function, app.add.name, app.add.options)
    third = elsewhere.apply_async((1, 1), task_id="given-before")
    assert [first.duplicate, again.duplicate, third.duplicate] == [False, True, True]
    assert app.add.name in repr(third)


def test_an_id_of_another_task_is_refused(app):
    first = app.add.apply_async((1, 1), task_id="of-add", queue="nobody-given")
    with pytest.raises(IdempotencyConflict, match="task_id was given for another call") as caught:
        app.who.apply_async((True,), task_id="of-add")
    with pytest.raises(IdempotencyConflict):
        asyncio.run(app.who.aapply_async((True,), task_id="of-add"))
    assert (caught.value.first_id, caught.value.first_task) == ("of-add", app.add.name)
    assert first.revoke()


def test_a_handle_on_what_has_ended_claims_no_task(app):
    app.add.apply_async((1, 1), task_id="ended-add").get(timeout=TIMEOUT_S)
    known = app.who.apply_async((True,), task_id="ended-add")
    assert known.duplicate
    assert app.who.name not in repr(known)
    assert known.get(timeout=TIMEOUT_S) == 2


def test_a_batch_tells_of_ids_that_were_given_before(app, mesh):
    app.add.apply_async((1, 1), task_id="before-a-batch").get(timeout=TIMEOUT_S)
    with mesh.batch():
        known = app.who.apply_async((True,), task_id="before-a-batch")
        fresh = app.who.delay(True)
    assert known.duplicate
    assert not fresh.duplicate
    assert app.who.name not in repr(known)


@pytest.mark.parametrize("how", ["by itself", "by its caller"])
def test_what_is_sent_again_is_no_duplicate(add, faults, how):
    faults.lose_reply = lambda call, number: number == 1 or how == "by its caller"
    try:
        result = add.apply_async((1, 1), task_id=f"again-{how[3:6]}")
    except SendUnknown as error:
        faults.lose_reply = lambda call, number: False
        result = add.apply_async((1, 1), task_id=error.task_id)
    assert not result.duplicate
    assert add.name in repr(result)
    assert result.get(timeout=TIMEOUT_S) == 2


def test_a_caller_without_the_code_sends_by_name(app, mesh):
    with TaskMesh(mesh.name, nodes=[mesh.address().url], key=mesh.keyring().dump()) as stranger:
        name = app.add.name
        assert stranger.tasks == {}
        assert stranger.send_task(name, (1, 2)).get(timeout=90) == 3
        wrong = stranger.send_task(name, (1, 2, 3), {"nonsense": 4})  # only the worker knows
        with pytest.raises(TypeError):
            wrong.get(timeout=90)
        late = stranger.send_task(name, (1, 2), task_id="by-name", queue="by-name", expires=0.05)

        async def send():
            options = {"task_id": "by-name-async", "queue": "by-name", "expires": 0.05}
            late_async = await stranger.asend_task(name, (3, 4), **options)
            return late_async, await (await stranger.asend_task(name, (3, 4)))

        late_async, value = asyncio.run(send())
        assert value == 7
        # the options of either are those of a call: nobody serves that queue
        assert (late.id, late_async.id) == ("by-name", "by-name-async")
        for handle in (late, late_async):
            assert isinstance(handle.get(timeout=90, propagate=False), TaskExpired)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--priority", "9", "--expires", "1h", "--wait", "90"], 0, '"state": "SUCCESS"'),
        (["--countdown", "1h", "--expires", "0.1", "--wait", "90"], 1, '"state": "EXPIRED"'),
        (["--priority", "10"], 2, "0<=x<=9"),
        (["--countdown", "soon"], 2, "countdown='soon'"),
    ],
)
def test_the_command_line_says_when_and_how_urgent(app, words, code, says):
    line = [sys.executable, "-m", "taskmesh", "call", app.add.name, "1", "2", "--json", *words]
    environ = os.environ | {"TASKMESH_APP": f"{app.__name__}:mesh"}
    run = subprocess.run(
        line, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=200
    )
    assert (run.returncode, says in run.stdout + run.stderr) == (code, True), run.stdout + run.stderr
