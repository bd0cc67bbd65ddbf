"""Tasks that are classes."""

from __future__ import annotations

import pytest

from taskmesh import BaseTask, TaskMesh
from taskmesh.errors import UsageError

notes: list[tuple] = []


@pytest.fixture
def mesh():
    notes.clear()
    return TaskMesh("classes", eager=True)


class Noting(BaseTask):
    """Notes what Celery's hooks are told."""

    def before_start(self, task_id, args, kwargs):
        notes.append(("before", task_id, args, kwargs))

    def on_success(self, retval, task_id, args, kwargs):
        notes.append(("success", retval, task_id, args, kwargs))

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        notes.append(("retry", exc, task_id, einfo.exception is exc))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        assert einfo.exception is exc
        assert einfo.type is type(exc)
        notes.append(("failure", exc, task_id, "Traceback" in str(einfo)))

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        notes.append(("after", status, retval, task_id, einfo is None))


class Divide(Noting):
    """Divides."""

    queue = "sums"
    priority = 7
    ignore_result = False
    result_expires = "2m"

    def run(self, x, y=1):
        """Divide."""
        return x / y


class AsyncDivide(BaseTask):
    name = "divide-async"

    async def run(self, x, y):
        return x / y


def test_a_class_is_a_task_with_its_options_and_hooks(mesh):
    divide = mesh.register_task(Divide())
    assert mesh.tasks == {divide.name: divide}
    assert divide.name.endswith("test_class_tasks.Divide")
    options = divide.options
    assert (options.queue, options.priority, options.result_expires_s) == ("sums", 7, 120)
    assert divide(6, 3) == 2
    assert notes == []
    handle = divide.delay(6, y=3)
    assert handle.get() == 2
    assert notes == [
        ("before", handle.id, (6,), {"y": 3}),
        ("success", 2.0, handle.id, (6,), {"y": 3}),
        ("after", "SUCCESS", 2.0, handle.id, True),
    ]


def test_a_failure_is_told_with_its_traceback(mesh):
    handle = mesh.register_task(Divide()).delay(1, 0)
    error = handle.get(propagate=False)
    assert isinstance(error, ZeroDivisionError)
    (_, failure, after) = notes
    assert failure[0] == "failure"
    assert isinstance(failure[1], ZeroDivisionError)
    assert failure[2:] == (handle.id, True)
    assert after[:2] == ("after", "FAILURE")
    assert not after[4]


def test_a_class_asks_for_retries_as_celery_has_it(mesh):
    class Flaky(Noting):
        name = "flaky"
        max_retries = 3
        default_retry_delay = 0

        def run(self, good):
            if self.request.retries < good:
                raise self.retry(exc=OSError("not yet"))
            return self.request.retries

    handle = mesh.register_task(Flaky()).delay(2)
    assert handle.get() == 2
    assert [note[0] for note in notes] == [
        *("before", "retry", "after"),
        *("before", "retry", "after"),
        *("before", "success", "after"),
    ]
    assert isinstance(notes[1][1], OSError)
    assert notes[1][2:] == (handle.id, True)
    assert notes[2][1] == "RETRY"


def test_the_mesh_has_the_class_under_the_name_that_celery_gives_it(mesh):
    assert issubclass(Divide, mesh.Task)


def test_a_class_without_hooks_watches_nothing(mesh):
    divide = mesh.register_task(AsyncDivide)
    assert divide.name == "divide-async"
    assert divide.delay(6, 3).get() == 2
    assert divide.own_hooks is None
    assert not mesh.hooks.watch_tasks


def test_a_function_has_the_hooks_and_options_of_its_base(mesh):
    class Based(Noting):
        queue = "based"
        priority = 9

    @mesh.task(base=Based, priority=2)
    def double(x):
        return 2 * x

    assert (double.options.queue, double.options.priority) == ("based", 2)
    handle = double.delay(4)
    assert handle.get() == 8
    assert [note[0] for note in notes] == ["before", "success", "after"]
    assert double.instance.name == double.name
    assert double.instance.task is double


def test_an_error_of_its_own_hook_changes_nothing(mesh, caplog):
    class Broken(BaseTask):
        name = "broken"

        def before_start(self, task_id, args, kwargs):
            raise OSError("a hook")

        def run(self):
            return 1

    assert mesh.register_task(Broken()).delay().get() == 1
    assert "Broken.before_start failed" in caplog.text


@pytest.mark.parametrize("wrong", [5, object(), BaseTask, BaseTask(), int])
def test_what_is_no_class_based_task_is_refused(mesh, wrong):
    with pytest.raises(UsageError, match="defines run"):
        mesh.register_task(wrong)


def test_wrong_options_and_bases_are_refused(mesh):
    class Wrong(BaseTask):
        priority = 99

        def run(self):
            pass

    with pytest.raises(UsageError, match="priority=99"):
        mesh.register_task(Wrong())
    with pytest.raises(UsageError, match=r"base=<class 'int'>"):
        mesh.task(base=int)(lambda: 1)


def test_two_classes_of_one_name_are_refused(mesh):
    mesh.register_task(Divide())
    mesh.register_task(Divide())  # the same again: a reload

    class Other(BaseTask):
        name = Divide.__module__ + ".Divide"

        def run(self):
            pass

    with pytest.raises(UsageError, match="two functions"):
        mesh.register_task(Other())
