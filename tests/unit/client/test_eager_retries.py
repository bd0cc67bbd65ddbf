"""Retries and verdicts where the caller runs the task: at once, and otherwise as on workers."""

from __future__ import annotations

import pytest

from taskmesh import BaseTask, Ignore, Reject, Snooze, TaskMesh, current_task
from taskmesh.errors import MaxRetriesExceededError, NotPicklable, Retry, TaskDead, UsageError


class Busy(Exception):
    """Something that passes."""


@pytest.fixture
def mesh() -> TaskMesh:
    return TaskMesh("eager-retries", eager=True)


@pytest.fixture
def runs() -> list:
    return []


def test_a_task_is_tried_again_at_once(mesh, runs):
    @mesh.task(autoretry_for=(Busy,), default_retry_delay="1h")
    def busy(times: int) -> int:
        runs.append(current_task().attempt)
        if len(runs) <= times:
            raise Busy(len(runs))
        return len(runs)

    result = busy.delay(2)
    assert (result.get(), runs, result.retries) == (3, [1, 2, 3], 2)
    assert [attempt.text for attempt in result.attempts] == ["1", "2", ""]
    runs.clear()
    with pytest.raises(Busy, match="4"):
        busy.delay(99).get()
    assert runs == [1, 2, 3, 4]


def test_a_bound_task_asks_with_other_arguments(mesh, runs):
    @mesh.task(bind=True, max_retries=2)
    def ask(self, x: int, *, step: int) -> int:
        assert self is ask
        request = self.request
        runs.append((request.id == current_task().id, request.retries, request.args, request.kwargs))
        assert request.is_eager
        assert not request.called_directly
        if x < 3:
            raise self.retry((x + step,), countdown=3600, throw=False)
        return x

    assert ask.delay(1, step=1).get() == 3
    assert runs == [(True, n, (n + 1,), {"step": 1}) for n in range(3)]
    with pytest.raises(MaxRetriesExceededError, match="attempt 3"):
        ask.delay(-9, step=1).get()


def test_a_task_may_go_on_elsewhere(mesh):
    @mesh.task(bind=True)
    def ask(self) -> str:
        if not self.request.retries:
            self.retry(queue="elsewhere", priority=0)
        return current_task().queue

    assert ask.delay().get() == "elsewhere"


@pytest.mark.parametrize("where", [{"queue": "a b"}, {"priority": 10}])
def test_a_task_cannot_go_on_where_no_message_can_wait(mesh, where):
    @mesh.task(bind=True)
    def ask(self) -> str:
        try:
            self.retry(**where)
        except UsageError:
            return "refused at once"

    assert ask.delay().get() == "refused at once"


def test_in_a_plain_call_the_error_at_hand_is_raised(mesh):
    @mesh.task(bind=True)
    def ask(self, how: str) -> None:
        assert self.request.called_directly
        if how == "given":
            self.retry(exc=Busy("given"))
        if how == "none":
            self.retry()
        try:
            raise Busy("at hand")
        except Busy:
            self.retry()

    for how in ("given", "at hand"):
        with pytest.raises(Busy, match=how):
            ask(how)
    with pytest.raises(Retry):
        ask("none")


def test_a_task_that_calls_another_is_not_taken_for_it(mesh):
    @mesh.task(bind=True)
    def inner(self) -> None:
        assert self.request.called_directly
        self.retry(exc=Busy("inside"))

    @mesh.task(bind=True)
    def outer(self) -> tuple[str, int]:
        assert not self.request.called_directly
        try:
            inner()
        except Busy as error:
            return str(error), self.request.retries
        return "not raised", 0

    assert outer.delay().get() == ("inside", 0)


def test_verdicts(mesh, runs):
    @mesh.task
    def verdict(what: str) -> str:
        runs.append(what)
        if what == "ignore":
            raise Ignore
        if what == "reject":
            raise Reject("not for us")
        if len(runs) < 3:
            raise Reject("not now", requeue=True) if what == "requeue" else Snooze(3600)
        return f"attempt {current_task().attempt}"

    ignored = verdict.delay("ignore")
    assert (ignored.get(), ignored.state) == (None, "SUCCESS")
    with pytest.raises(TaskDead, match="rejected: not for us"):
        verdict.delay("reject").get()
    for what in ("requeue", "snooze"):
        runs.clear()
        assert verdict.delay(what).get() == "attempt 1"
        assert len(runs) == 3


def test_what_is_put_off_without_end_fails(mesh, runs):
    @mesh.task
    def waits() -> None:
        runs.append(1)
        current_task().snooze(1)

    with pytest.raises(UsageError, match="mesh_worker"):
        waits.delay().get()
    assert len(runs) == 101


def test_a_value_that_cannot_be_sent_is_no_reason_to_run_again(mesh, runs):
    @mesh.task(autoretry_for=(Exception,))
    def odd() -> object:
        runs.append(1)
        return (each for each in ())

    with pytest.raises(NotPicklable):
        odd.delay().get()
    assert runs == [1]


def test_arguments_of_a_retry_that_cannot_be_sent_fail_it(mesh):
    @mesh.task(bind=True)
    def odd(self, _value: object) -> None:
        self.retry(args=((each for each in ()),))

    with pytest.raises(NotPicklable):
        odd.delay(1).get()


def test_hooks_are_told_of_each_run(mesh, runs):
    @mesh.on_retry
    def told_of_retry(task, error) -> None:
        runs.append(("retry", task.attempt, str(error)))

    @mesh.after_task
    def told_of_end(task, state, seconds) -> None:
        runs.append((state.value, task.attempt))

    @mesh.task(bind=True)
    def ask(self) -> None:
        if not self.request.retries:
            self.retry(exc=Busy("now"))
        if self.request.retries == 1:
            self.retry()
        raise Ignore

    ask.delay().get()
    # Celery's hooks are given the error behind a Retry, where there is one
    assert runs[:2] == [("retry", 1, "now"), ("RETRY", 1)]
    assert [run[:2] for run in runs[2:]] == [("retry", 2), ("RETRY", 2), ("SUCCESS", 3)]


def test_a_bound_task_with_a_class_is_given_its_instance(mesh):
    class Database(BaseTask):
        max_retries = 1
        connection = "open"

        def on_retry(self, exc, task_id, args, kwargs, einfo) -> None:
            self.connection = f"anew after {exc}"

    @mesh.task(bind=True, base=Database)
    def query(self) -> tuple[str, int]:
        if not self.request.retries:
            self.retry(exc=Busy("a loss"))
        return self.connection, self.request.retries

    assert query.delay().get() == ("anew after a loss", 1)
    assert query.max_retries == 1


async def refuse(times: int) -> int:
    if current_task().attempt <= times:
        raise Busy(times)
    return current_task().attempt


@pytest.mark.asyncio
async def test_in_an_event_loop(mesh):
    task = mesh.task(autoretry_for=(Busy,))(refuse)
    assert await (await task.adelay(2)) == 3


@pytest.mark.parametrize("count", ["x", float("nan"), float("inf"), -1, True, 2.0])
def test_what_is_no_number_of_retries_is_refused(mesh, count):
    @mesh.task(bind=True)
    def ask(self) -> None:
        raise self.retry(max_retries=count)

    with pytest.raises(UsageError, match=r"^max_retries=.*: expected a whole number, 0 or more"):
        ask.delay().get()
