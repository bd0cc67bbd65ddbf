"""Hooks: their order, what they are told, and that their errors change nothing."""

from __future__ import annotations

import pytest

from taskmesh import Middleware, State, TaskMesh
from taskmesh.core.hooks import EVENTS, Hooks
from taskmesh.errors import UsageError
from tests.support import said_here


@pytest.fixture
def mesh():
    return TaskMesh("hooks", eager=True)


class Teller(Middleware):
    """Notes the events of tasks, by a name."""

    def __init__(self, name, notes):
        self.name = name
        self.notes = notes

    def before_task(self, task):
        self.notes.append((self.name, "before", task.name))

    def after_task(self, task, state, seconds):
        assert seconds >= 0
        self.notes.append((self.name, "after", state))

    def on_success(self, task, value):
        self.notes.append((self.name, "success", value))

    def on_retry(self, task, error):
        self.notes.append((self.name, "retry", task.attempt, str(error)))

    def on_failure(self, task, error):
        self.notes.append((self.name, "failure", str(error)))


def test_the_first_comes_first_before_and_last_after(mesh):
    notes = []
    for name in "ab":
        mesh.add_hooks(Teller(name, notes))
    mesh.task(name="five")(lambda: 5).delay()
    assert notes == [
        ("a", "before", "five"),
        ("b", "before", "five"),
        ("b", "success", 5),
        ("a", "success", 5),
        ("b", "after", State.SUCCESS),
        ("a", "after", State.SUCCESS),
    ]


def test_a_failure_is_told_as_one(mesh):
    notes = []
    mesh.add_hooks(Teller("a", notes))

    @mesh.task(name="fail")
    def fail():
        raise ValueError("no")

    assert isinstance(fail.delay().get(propagate=False), ValueError)
    assert notes == [("a", "before", "fail"), ("a", "failure", "no"), ("a", "after", State.FAILURE)]


def test_retries_are_told_one_by_one_and_only_the_last_failure_as_one(mesh):
    notes = []
    mesh.add_hooks(Teller("a", notes))

    @mesh.task(name="again", autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0)
    def again():
        raise ValueError("no")

    assert isinstance(again.delay().get(propagate=False), ValueError)
    assert notes == [
        ("a", "before", "again"),
        ("a", "retry", 1, "no"),
        ("a", "after", State.RETRY),
        ("a", "before", "again"),
        ("a", "failure", "no"),
        ("a", "after", State.FAILURE),
    ]


def test_what_cannot_be_sent_home_is_a_failure_for_hooks_as_well(mesh):
    notes = []
    mesh.add_hooks(Teller("a", notes))
    mesh.task(name="gen")(lambda: (x for x in ())).delay()
    assert [note[1] for note in notes] == ["before", "failure", "after"]


def test_functions_are_hooks_as_well_and_stay_what_they_are(mesh):
    seen = []

    @mesh.before_task
    def look(task):
        seen.append(task.id)

    @mesh.on_success
    async def keep(task, value):
        seen.append((task.id, value))

    handle = mesh.task(name="one")(lambda: 1).delay()
    assert seen == [handle.id, (handle.id, 1)]
    look(handle)
    assert seen[-1] == handle.id


@pytest.mark.asyncio
async def test_hooks_are_called_in_a_loop_that_runs_already(mesh):
    seen = []

    @mesh.before_task
    async def look(task):
        seen.append(task.name)

    async def two():
        return 2

    handle = await mesh.task(name="two")(two).adelay()
    assert (await handle, seen) == (2, ["two"])


@pytest.mark.parametrize("event", ["before_task", "on_success", "after_task"])
def test_an_error_of_a_hook_is_logged_and_changes_nothing(mesh, event, caplog):
    notes = []

    @getattr(mesh, event)
    def broken(*_args):
        raise SystemExit(3)

    mesh.add_hooks(Teller("a", notes))
    assert mesh.task(name="one")(lambda: 1).delay().get() == 1
    (record,) = said_here(caplog)
    assert "broken failed" in record.getMessage()
    assert record.exc_info[0] is SystemExit
    assert len(notes) == 3


def test_ctrl_c_in_a_hook_is_the_users_where_the_caller_runs_the_task(mesh):
    @mesh.on_success
    def interrupted(_task, _value):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mesh.task(name="one")(lambda: 1).delay()


def test_nothing_is_watched_until_a_hook_of_tasks_is_there():
    hooks = Hooks()
    hooks.add("on_child_start", print)
    assert not hooks.watch_tasks
    hooks.watch()
    assert (hooks.watch_tasks, hooks.watch_all_tasks) == (True, False)
    hooks.add("on_retry", print)
    assert hooks.watch_all_tasks


def test_what_cannot_be_a_hook_is_refused(mesh):
    with pytest.raises(UsageError, match=r"@mesh.before_task decorates a function, not 5"):
        mesh.before_task(5)
    with pytest.raises(UsageError, match="an instance"):
        mesh.add_hooks(Teller)
    with pytest.raises(UsageError, match="none of the hooks on_worker_start"):
        mesh.add_hooks(object())

    class Typo(Middleware):
        def befor_task(self, task):
            pass

    with pytest.raises(UsageError, match=r"Typo\.befor_task is no hook; did you mean before_task\?"):
        mesh.add_hooks(Typo())
    assert not mesh.hooks.watch_tasks


def test_each_event_has_a_decorator_and_a_method():
    for event in EVENTS:
        assert callable(getattr(TaskMesh, event))
        assert getattr(Middleware, event).__doc__


WITH_ONE = ("on_worker_start", "on_worker_stop", "on_child_start", "on_child_stop", "before_task")


@pytest.mark.parametrize("event", EVENTS)
def test_a_hook_that_takes_something_else_is_refused_when_it_is_added(mesh, event):
    count = 1 if event in WITH_ONE else 3 if event == "after_task" else 2
    shapes = {0: lambda: None, 1: lambda a: None, 2: lambda a, b: None, 3: lambda a, b, c: None}
    for takes, function in shapes.items():
        if takes == count:
            getattr(mesh, event)(function)
        else:
            with pytest.raises(UsageError, match=rf"@mesh\.{event}: .* a hook of this kind takes \(\w+"):
                getattr(mesh, event)(function)
    getattr(mesh, event)(lambda *anything: None)
    getattr(mesh, event)(print)


def test_a_method_that_takes_something_else_is_refused(mesh):
    class Wrong(Middleware):
        def after_task(self, task):
            """Takes too little."""

    with pytest.raises(UsageError, match=r"after_task\(task\) .* takes \(task, state, seconds\)"):
        mesh.add_hooks(Wrong())
