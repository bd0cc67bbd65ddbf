"""`AsyncResult`: getting, looking, acting, by one caller."""

from __future__ import annotations

import logging
import pickle
import re
import time

import pytest

from taskmesh.core.ids import make_id
from taskmesh.errors import (
    BadSignature,
    InvalidTaskId,
    Malformed,
    RemoteError,
    ResultExpired,
    TaskNotFound,
    TaskRevoked,
    TaskTimeout,
)
from taskmesh.queue.commit import commit
from tests.apps.client_tasks import Refused
from tests.integration.client.node import Counted, command, publish
from tests.support import wait_until

TIMEOUT_S = 90.0


def test_get_returns_the_value_also_again_and_from_a_second_handle(app, mesh):
    result = app.add.delay(1, 2)
    assert result.get(timeout=TIMEOUT_S) == 3
    assert result.get(timeout=0) == 3
    assert (result.state, result.ready(), result.successful(), result.failed()) == (
        "SUCCESS",
        True,
        True,
        False,
    )
    assert result.traceback is None
    assert mesh.result(result.id).get(timeout=TIMEOUT_S) == 3
    assert "SUCCESS" in repr(result)


def test_get_raises_what_the_task_raised(app):
    result = app.refuse.delay("no", 3)
    with pytest.raises(Refused, match="no") as caught:
        result.get(timeout=TIMEOUT_S)
    assert caught.value.code == 3
    assert "Remote traceback" in caught.value.__notes__[0]
    assert (result.state, result.successful(), result.failed()) == ("FAILURE", False, True)
    assert "in refuse" in result.traceback
    assert type(result.get(propagate=False)) is Refused
    with pytest.raises(Refused) as again:
        result.get()
    assert len(again.value.__notes__) == 1, "each get raises an error of its own"


def test_what_cannot_come_home_is_told(app):
    with pytest.raises(Exception, match="return value cannot be pickled"):
        app.not_picklable.delay().get(timeout=TIMEOUT_S)
    with pytest.raises(RemoteError, match="SystemExit: 5"):
        app.leave.delay(5).get(timeout=TIMEOUT_S)


def times_out(result, timeout: float = 0.2) -> TaskTimeout:
    """Return what a caller is told whose time is over."""
    with pytest.raises(TaskTimeout) as caught:
        result.get(timeout=timeout)
    return caught.value


def test_get_times_out_and_can_be_called_again(app, holds, monkeypatch):
    monkeypatch.undo()  # a last look is wanted here
    name, result = holds.send("value")
    holds.began(name)
    error = times_out(result, 0.05)
    assert error.task_id == result.id
    assert isinstance(error, TimeoutError)
    # the state is told if the node has answered in that short time
    wait_until(lambda: re.search(r"hold\) was STARTED when the 0\.05 s", str(times_out(result, 0.05))))
    holds.let_go(name)
    assert result.get(timeout=TIMEOUT_S) == "value"


def test_get_without_time_looks_and_sees_what_is_there(app, holds):
    """Also when listening has begun long ago, so that no record would have to be read."""
    app.add.delay(0).get(timeout=TIMEOUT_S)
    name, result = holds.send("value")
    with pytest.raises(TaskTimeout):
        result.get(timeout=0)
    holds.let_go(name)

    def look():
        try:
            return result.get(timeout=0)
        except TaskTimeout:
            return None

    assert wait_until(look, TIMEOUT_S) == "value"


def test_what_nobody_keeps_has_no_value_but_a_state(app, mesh):
    result = app.forgettable.delay(1)
    assert result.get(timeout=TIMEOUT_S) is None
    assert mesh.result(result.id).state == "SUCCESS"
    kept = app.forgettable.apply_async((2,), ignore_result=False)
    assert kept.get(timeout=TIMEOUT_S) == 2


def test_an_unknown_id_is_not_found_until_it_is_sent(app, mesh):
    handle = mesh.result("to-be-sent")
    for look in (handle.get, lambda: handle.state, handle.ready, handle.revoke):
        with pytest.raises(TaskNotFound, match="to-be-sent"):
            look()
    app.add.apply_async((1, 1), task_id="to-be-sent")
    assert handle.get(timeout=TIMEOUT_S) == 2


def test_an_old_id_that_is_unknown_has_expired(mesh):
    old = make_id(int(time.time() * 1000) - 7_200_000, 0, bytes(8))
    with pytest.raises(ResultExpired, match="result_expires"):
        mesh.result(old).get()


def test_how_long_a_result_was_to_be_kept_is_what_its_own_call_said(app, mesh):
    result = app.add.apply_async((1, 1), result_expires="77s")
    assert result.get(timeout=TIMEOUT_S) == 2
    result.forget()
    with pytest.raises(ResultExpired, match="its result_expires was 77 s after its end"):
        mesh.result(result.id).get(timeout=TIMEOUT_S)
    old = make_id(int(time.time() * 1000) - 7_200_000, 0, bytes(8))
    with pytest.raises(ResultExpired, match="of the call, of its task, or else 3600 s of the mesh"):
        mesh.result(old).get()


WEIRD = [
    "a:b",
    ":",
    "::00000001",
    "x:00000001",
    "%d%s",
    "*[a-z]?",
    "'\"\\",
    "{tag}",
    "-",
    "0" * 200,
    "r:",
    "~!@#$^&()=+",
]


@pytest.mark.parametrize("task_id", WEIRD)
def test_ids_may_be_weird(app, mesh, task_id):
    result = app.who.apply_async(task_id=task_id)
    assert result.id == task_id
    assert result.get(timeout=TIMEOUT_S) == task_id
    assert mesh.result(task_id).get(timeout=TIMEOUT_S) == task_id


@pytest.mark.parametrize("task_id", ["", " ", "a b", "ä", "0" * 201, "\n", "\x00", 5])
def test_ids_that_cannot_be_are_refused(app, mesh, task_id):
    with pytest.raises(InvalidTaskId):
        app.add.apply_async((1, 1), task_id=task_id)
    with pytest.raises(InvalidTaskId):
        mesh.result(task_id)


def test_an_id_that_is_sent_twice_runs_once(app):
    first = app.add.apply_async((1, 1), task_id="twice")
    second = app.add.apply_async((5, 5), task_id="twice")
    assert second.get(timeout=TIMEOUT_S) == first.get(timeout=TIMEOUT_S) == 2


def test_forget_drops_the_outcome_and_leaves_the_state(app, mesh):
    result = app.add.delay(1, 2)
    result.get(timeout=TIMEOUT_S)
    result.forget()
    for handle in (result, mesh.result(result.id)):
        with pytest.raises(ResultExpired):
            handle.get(timeout=TIMEOUT_S)
        assert handle.state == "SUCCESS"
        assert handle.ready()


def test_forget_leaves_alone_what_has_not_ended(app, holds):
    name, result = holds.send("value")
    result.forget()
    holds.let_go(name)
    assert result.get(timeout=TIMEOUT_S) == "value"


def test_revoke_ends_what_waits_and_only_flags_what_runs(app, mesh, holds):
    (name, running), _ = holds.all_children()
    waiting = app.add.delay(1, 1)
    assert waiting.revoke()
    assert mesh.result(waiting.id).revoke(), "it is, whoever asks"
    with pytest.raises(TaskRevoked):
        waiting.get(timeout=TIMEOUT_S)
    assert (waiting.state, waiting.successful(), waiting.failed()) == ("REVOKED", False, False)
    assert not running.revoke()
    holds.let_go(name)
    running.get(timeout=TIMEOUT_S)
    assert not running.revoke()
    assert not mesh.result(running.id).revoke()


def test_results_expire(app, mesh):
    result = app.add.apply_async((1, 2), result_expires="2m")
    kept = app.add.apply_async((3, 4), result_expires=3600)
    assert result.get(timeout=TIMEOUT_S) == 3
    kept.get(timeout=TIMEOUT_S)
    link = mesh.link
    now_ms = link.clock.now_ms() + 5 * 60_000
    session = type(link.session)(link.prefix, link.session.epoch, link.session.slots, lambda: now_ms)
    nobody = b"0" * 22
    for _ in range(50):  # each commit of anybody removes some of what is due
        link.run(commit(session, nobody, b"", (), ()))
    found = mesh.result(result.id)
    assert found.state == "SUCCESS", "the state is remembered longer"
    with pytest.raises(ResultExpired):
        found.get(timeout=TIMEOUT_S)
    assert mesh.result(kept.id).get(timeout=TIMEOUT_S) == 7


def test_a_handle_is_not_pickled_by_mistake(app):
    with pytest.raises(TypeError, match="send its id"):
        pickle.dumps(app.add.delay(1))


def test_tasks_travel_as_arguments(app):
    assert app.call_task.delay(app.add, 2, 3).get(timeout=TIMEOUT_S) == ("tests.apps.client_tasks.add", 5)
    assert pickle.loads(pickle.dumps(app.add)) is app.add
    assert pickle.loads(pickle.dumps(app.mesh)).name == app.mesh.name


def test_functions_sent_by_value_may_use_tasks_and_the_mesh(app, mesh):
    local = mesh.task(name="local")(lambda x: x + 1)
    add = app.add
    assert mesh.submit(lambda: (local(1), add.name, mesh.name)).get(timeout=TIMEOUT_S) == (
        2,
        "tests.apps.client_tasks.add",
        mesh.name,
    )


def test_a_forged_notice_changes_nothing(app, mesh, holds, caplog):
    app.add.delay(1).get(timeout=TIMEOUT_S)
    name, result = holds.send("value")
    heard = 0
    for payload in (
        b"",
        b"x",
        b"00000010",
        b"0000000g" + b"x" * 16,
        b"00000010" + b"\x01" * 16,
        b"\xff" * 50,
    ):
        heard += publish(mesh, payload)
    assert heard == 6
    holds.let_go(name)
    with caplog.at_level(logging.WARNING, "taskmesh"):
        assert result.get(timeout=TIMEOUT_S) == "value"
    assert caplog.text.count("refused") == 5


def test_a_record_that_was_tampered_with_fails_alone(app, mesh):
    good, bad = app.add.delay(1, 1), app.add.delay(2, 2)
    for result in (good, bad):
        result.get(timeout=TIMEOUT_S)
    key = mesh.link.prefix + b"r:" + bad.id.encode()
    raw = command(mesh, b"GET", key)
    command(mesh, b"SET", key, raw[:-1] + bytes([raw[-1] ^ 1]))
    read = mesh.result(bad.id)
    for look in (lambda: read.get(timeout=TIMEOUT_S), lambda: read.state):
        with pytest.raises(BadSignature):
            look()
    found = type(app.add.map([]))([mesh.result(good.id), read])
    assert {handle.id for handle in found.as_completed(TIMEOUT_S)} == {good.id, bad.id}
    assert isinstance(found.get(TIMEOUT_S, propagate=False)[1], BadSignature)


def test_the_result_of_another_id_is_refused(app, mesh):
    one, two = app.add.delay(1, 1), app.add.delay(2, 2)
    for result in (one, two):
        result.get(timeout=TIMEOUT_S)
    prefix = mesh.link.prefix + b"r:"
    command(mesh, b"SET", prefix + one.id.encode(), command(mesh, b"GET", prefix + two.id.encode()))
    with pytest.raises(Malformed, match="was given the result of"):
        mesh.result(one.id).get(timeout=TIMEOUT_S)


def told_once(caplog, waiting, words: str):
    """Wait for each until it is said why in vain, and then once more; return the one for which it was said.

    Whoever looks after so short a time may have no answer yet, and says nothing then.
    """
    with caplog.at_level(logging.WARNING, "taskmesh"):
        told = wait_until(
            lambda: next((each for each in waiting if times_out(each) and words in caplog.text), None)
        )
        for result in waiting:
            times_out(result)
    return told


def test_a_caller_is_told_once_that_nobody_serves_his_queue(app, mesh, monkeypatch, caplog):
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(mesh.portal, "_warned", set())
    waiting = [app.add.apply_async((1, n), queue="nobody") for n in range(3)]
    told = told_once(caplog, waiting, "nobody serves")
    (record,) = [record for record in caplog.records if "nobody serves" in record.getMessage()]
    text = record.getMessage()
    assert told.id in text
    assert "taskmesh worker tests.apps.client_tasks:mesh -Q nobody" in text
    assert "(default)" in text, "the workers that exist, and what they serve"
    for result in waiting:
        assert result.revoke()


def test_a_caller_is_told_once_that_his_queue_is_paused(app, mesh, monkeypatch, caplog):
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(mesh.portal, "_warned", set())
    mesh.pause_queue("paused-hint")
    waiting = [app.add.apply_async((1, n), queue="paused-hint") for n in range(2)]
    told_once(caplog, waiting, "that queue is paused")
    assert caplog.text.count("that queue is paused") == 1
    assert "taskmesh queue resume paused-hint" in caplog.text
    assert "nobody serves" not in caplog.text
    mesh.resume_queue("paused-hint")
    for result in waiting:
        assert result.revoke()


def test_a_caller_is_told_once_that_no_worker_knows_his_task(app, make_mesh, monkeypatch, caplog):
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 0.02)
    unknown = make_mesh().task(name="nobody.knows.it")(app.square)
    waiting = [unknown.delay(1), unknown.delay(2)]
    later = app.add.apply_async((1, 1), countdown=3600)
    for result in waiting:
        wait_until(lambda result=result: result.state == "SCHEDULED")
    told_once(caplog, waiting, "no worker that took it knows its task")
    with caplog.at_level(logging.WARNING, "taskmesh"):
        for result in waiting:
            wait_until(
                lambda result=result: (
                    "no worker that took it knows its task: start one" in str(times_out(result))
                )
            )
        wait_until(
            lambda: (
                "was SCHEDULED when the 0.2 s to wait for it were over; it goes on" in str(times_out(later))
            )
        )
    assert caplog.text.count("no worker that took it knows its task") == 1
    assert later.id not in caplog.text
    for result in (*waiting, later):
        assert result.revoke()


def test_nobody_is_told_that_of_what_runs(app, mesh, holds, monkeypatch, caplog):
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(mesh.portal, "_warned", set())
    name, result = holds.send()
    holds.began(name)
    with pytest.raises(TaskTimeout):
        result.get(timeout=0.2)
    assert "nobody serves" not in caplog.text


def test_results_sent_before_anybody_listened_are_read_ahead(app, make_mesh, monkeypatch):
    """Getting a thousand results one by one takes some tens of round trips."""
    mesh = make_mesh()
    add = type(app.add)(mesh, app.add.function, app.add.name, app.add.options)
    results = [add.delay(n, 1) for n in range(1000)]
    wait_until(lambda: mesh.result(results[-1].id).ready(), TIMEOUT_S)
    counted = Counted(mesh, monkeypatch)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [n + 1 for n in range(1000)]
    assert counted("read") < 30
