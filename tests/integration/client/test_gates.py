"""Unique, idempotency and sequence keys, with real workers."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from taskmesh.errors import BatchError, IdempotencyConflict, TaskExpired
from taskmesh.queue.manage import status
from tests.support import wait_until

TIMEOUT_S = 90.0


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


def blocked(mesh, queue: str = "default") -> int:
    return mesh.link.run(status(mesh.link.session)).blocked.get(queue, 0)


# -- unique ---------------------------------------------------------------------------------


def test_while_one_lives_another_like_it_is_not_recorded(app, holds):
    name, args = holds.call("value")
    first = app.hold.apply_async(args, unique=True)
    holds.note(name, first)
    holds.began(name)
    again = app.hold.apply_async((), dict(zip(("folder", "name", "value"), args, strict=True)), unique=True)
    assert (again.id, again.duplicate, first.duplicate) == (first.id, True, False)
    assert again.state == "STARTED"
    holds.let_go(name)
    assert again.get(timeout=TIMEOUT_S) == "value"
    third = app.hold.apply_async(args, unique=True)
    assert third.id != first.id
    assert not third.duplicate
    assert third.get(timeout=TIMEOUT_S) == "value"


def test_other_tasks_and_other_arguments_are_not_alike(app, key):
    kwargs = {"queue": "nobody-keys", "unique": key}
    results = [app.echo.apply_async((1,), **kwargs), app.forgettable.apply_async((1,), **kwargs)]
    results += app.echo.map([f"{key}1", f"{key}2"], queue="nobody-keys", unique=True)
    assert len({result.id for result in results}) == 4
    assert not any(result.duplicate for result in results)
    assert all(result.revoke() for result in results)


def test_among_many_that_are_sent_together(app, mesh, key):
    results = app.echo.map([f"{key}1", f"{key}2", f"{key}1", f"{key}1"], unique=True)
    assert [result.duplicate for result in results] == [False, False, True, True]
    assert results[2].id == results[3].id == results[0].id
    assert results.get(timeout=TIMEOUT_S) == [f"{key}1", f"{key}2", f"{key}1", f"{key}1"]
    with mesh.batch():
        one = app.echo.apply_async((1,), unique=key, queue="nobody-keys")
        two = app.echo.apply_async((2,), unique=key, queue="nobody-keys")
        assert two.id != one.id
    assert (two.id, two.duplicate) == (one.id, True)
    assert two.revoke()


def test_in_an_event_loop(app, holds):
    name, args = holds.call("value")

    async def main():
        # held, or the first could have ended before the second is sent
        first, second = await asyncio.gather(*(app.hold.aapply_async(args, unique=True) for _ in range(2)))
        holds.note(name, first)
        holds.let_go(name)
        return first, second, await first, await second

    first, second, *values = asyncio.run(main())
    assert values == ["value", "value"]
    assert first.id == second.id
    assert {first.duplicate, second.duplicate} == {False, True}


def test_a_future_of_an_executor_shares_the_outcome(app, mesh, holds):
    once = mesh.task(name=app.hold.name, unique=True)(app.hold.function)
    try:
        name, args = holds.call("shared")
        with mesh.executor() as executor:
            first, second = (executor.submit(once, *args) for _ in range(2))
            holds.began(name)
            holds.let_go(name)
            assert (first.result(TIMEOUT_S), second.result(TIMEOUT_S)) == ("shared", "shared")
            assert first.handle.id == second.handle.id
    finally:
        mesh.tasks[app.hold.name] = app.hold


@pytest.mark.parametrize("how", ["revoked", "expired", "failed", "ttl"])
def test_the_key_is_free_however_the_first_one_ended(app, key, how):
    queue = "default" if how == "failed" else "nobody-keys"
    options = {"expires": 0.01} if how == "expired" else {}
    unique = {"key": key, "ttl": 0.01} if how == "ttl" else key
    first = app.refuse.apply_async(("no", 1), unique=unique, queue=queue, **options)
    if how == "revoked":
        assert first.revoke()
    elif how == "expired":
        with pytest.raises(TaskExpired):
            first.get(timeout=TIMEOUT_S)
    elif how == "failed":
        first.get(timeout=TIMEOUT_S, propagate=False)
    second = wait_until(
        lambda: (
            (sent := app.refuse.apply_async(("no", 1), unique=key, queue="nobody-keys")).id != first.id
            and sent
        )
    )
    assert not second.duplicate
    # the end of the one that held it before leaves it alone
    first.revoke()
    assert app.refuse.apply_async(("no", 1), unique=key, queue="nobody-keys").id == second.id
    assert second.revoke()


def test_a_key_that_is_held_until_the_start(app, holds, key):
    name, args = holds.call()
    unique = {"key": key, "until": "started"}
    first = app.hold.apply_async(args, unique=unique)
    holds.note(name, first)
    holds.began(name)
    second = app.hold.apply_async(args, unique=unique, queue="nobody-keys")
    assert second.id != first.id
    third = app.hold.apply_async(args, unique=unique, queue="nobody-keys")
    assert third.id == second.id
    assert second.revoke()


def test_a_task_says_what_its_messages_have_in_common(app, make_mesh, key):
    mesh = make_mesh()
    once = mesh.task(name=app.echo.name, unique=lambda value: value[0])(app.echo.function)
    first = once.apply_async(((key, 1),), queue="nobody-keys")
    assert once.apply_async(((key, 2),), queue="nobody-keys").id == first.id
    assert once.apply_async(((key, 2),), queue="nobody-keys", unique=False).revoke()
    assert first.revoke()


# -- idempotency ----------------------------------------------------------------------------


def test_who_asks_again_is_given_the_first_handle_also_afterwards(app, other, key):
    first = app.add.apply_async((1, 2), idempotency_key=key)
    assert first.get(timeout=TIMEOUT_S) == 3
    again = other.tasks[app.add.name].apply_async((1,), {"y": 2}, idempotency_key=key)
    assert (again.id, again.duplicate) == (first.id, True)
    assert again.get(timeout=TIMEOUT_S) == 3


def test_the_key_of_another_call_is_refused(app, key):
    first = app.add.apply_async((1, 2), idempotency_key=key)
    for task, args in ((app.add, (1, 3)), (app.echo, (1,))):
        with pytest.raises(IdempotencyConflict, match="use another one") as refused:
            task.apply_async(args, idempotency_key=key)
        assert (refused.value.first_id, refused.value.first_task) == (first.id, app.add.name)
        assert refused.value.task_id != first.id
        with pytest.raises(BatchError, match=first.id):
            task.starmap([args], idempotency_key=key)


# -- sequences ------------------------------------------------------------------------------


def test_a_sequence_runs_in_the_order_of_sending(app, tmp_path, key):
    """Two children share the work; other messages pass by."""
    path = str(tmp_path / "order")
    sent = app.write_down.starmap([(path, f"a{n}") for n in range(20)], sequence_key=key)
    sent.results += [
        app.write_down.apply_async((path, f"a{n}"), sequence_key=key, priority=n % 10) for n in range(20, 30)
    ]
    app.add.map(range(50)).get(timeout=TIMEOUT_S)
    sent.get(timeout=TIMEOUT_S)
    assert (tmp_path / "order").read_text().split() == [f"a{n}" for n in range(30)]


def test_one_at_a_time_and_a_failure_lets_the_next_go(app, mesh, holds, key):
    name, args = holds.call()
    first = app.hold.apply_async(args, sequence_key=key)
    holds.note(name, first)
    holds.began(name)
    fails = app.refuse.apply_async(("no", 1), sequence_key=key)
    last = app.add.apply_async((1, 2), sequence_key=key)
    beside = app.add.apply_async((3, 4), sequence_key=f"{key}-other")
    assert beside.get(timeout=TIMEOUT_S) == 7
    assert (fails.state, last.state) == ("PENDING", "PENDING")
    assert blocked(mesh) == 2
    holds.let_go(name)
    assert last.get(timeout=TIMEOUT_S) == 3
    assert fails.failed()
    assert blocked(mesh) == 0


def test_what_waits_for_its_turn_can_be_revoked_and_expires(app, mesh, holds, key):
    name, args = holds.call()
    first = app.hold.apply_async(args, sequence_key=key)
    holds.note(name, first)
    holds.began(name)
    revoked = app.add.apply_async((1,), sequence_key=key)
    expires = app.add.apply_async((2,), sequence_key=key, expires=0.05)
    last = app.add.apply_async((3,), sequence_key=key)
    assert revoked.revoke()
    with pytest.raises(TaskExpired):
        expires.get(timeout=TIMEOUT_S)
    assert (last.state, blocked(mesh)) == ("PENDING", 1)
    holds.let_go(name)
    assert last.get(timeout=TIMEOUT_S) == 3


def test_a_batch_is_a_sequence_as_well(app, mesh, tmp_path, key):
    path = str(tmp_path / "order")
    with mesh.batch():
        sent = [app.write_down.apply_async((path, str(n)), sequence_key=key) for n in range(10)]
    for result in sent:
        result.get(timeout=TIMEOUT_S)
    assert (tmp_path / "order").read_text().split() == [str(n) for n in range(10)]


# -- at most once ---------------------------------------------------------------------------


def test_what_may_run_only_once_is_not_tried_again_though_its_task_says_so(app, mesh, make_mesh, key):
    first = app.flaky_once.apply_async((key,), at_most_once=True)
    with pytest.raises(ConnectionError):
        first.get(timeout=TIMEOUT_S)
    assert app.flaky_once.apply_async((key,)).get(timeout=TIMEOUT_S) == 2
