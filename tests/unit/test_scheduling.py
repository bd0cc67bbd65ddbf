"""What the app object refuses where a schedule is written, and what it tells workers of those in the code."""

from __future__ import annotations

import sys

import pytest

from taskmesh import TaskMesh, crontab, every
from taskmesh.coordination.schedule import unpack_schedule
from taskmesh.errors import UsageError, WrongArguments
from taskmesh.worker.locate import importing, load_app


@pytest.fixture
def mesh(tmp_path) -> TaskMesh:
    return TaskMesh("scheduling", key="scheduling-" + 64 * "0")


def job(x: int = 0) -> int:
    return x


def test_the_same_code_tells_the_same_twice_and_other_code_does_not(mesh: TaskMesh) -> None:
    """By the digest, so that what operators change outlasts a restart."""
    mesh.every(30, name="poll", args=(1,))(job)
    first, again = mesh.declared_schedules(), mesh.declared_schedules()
    assert first == again
    (schedule,) = (unpack_schedule(content) for content in first)
    assert (schedule.name, schedule.when, len(schedule.declared)) == ("poll", "every 30s", 16)
    mesh.every(31, name="poll", args=(1,))(mesh.tasks[schedule.call.task])
    (other,) = (unpack_schedule(content) for content in mesh.declared_schedules())
    assert other.declared != schedule.declared


def test_a_decorator_makes_the_task_if_there_is_none(mesh: TaskMesh) -> None:
    """And takes one as it is."""
    task = mesh.cron("*/5 * * * *")(job)
    assert mesh.tasks[task.name] is task
    assert mesh.cron("0 3 * * *", name="nightly")(task) is task
    assert len(mesh.declared_schedules()) == 2


@pytest.mark.parametrize(
    ("policies", "says"),
    [
        ({"misfire": "sometimes"}, "misfire"),
        ({"overlap": "never"}, "overlap"),
        ({"jitter": "soon"}, "jitter"),
        ({"catch_up": -1}, "catch_up"),
        ({"queue": "mail"}, "Options of the call go to its signature"),
        ({"start": 2_000_000_000, "end": 1_900_000_000}, "never fire"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(mesh: TaskMesh, policies, says: str) -> None:
    """Nothing was connected for that."""
    with pytest.raises(UsageError, match=says):
        mesh.every(30, name="poll", **policies)(job)


def test_names_and_arguments_are_checked_too(mesh: TaskMesh) -> None:
    with pytest.raises(UsageError, match="name of a schedule"):
        mesh.every(30, name="a@b")(job)
    with pytest.raises(WrongArguments):
        mesh.every(30, name="poll", args=(1, 2))(job)
    mesh.every(30, name="poll")(job)
    with pytest.raises(UsageError, match="two schedules in the code"):
        mesh.every(30, name="poll")(test_names_and_arguments_are_checked_too)


def test_other_things_than_times_and_calls_are_refused_by_name(mesh: TaskMesh) -> None:
    """Before anything is connected; what is meant is said."""
    task = mesh.task(job)
    for call in (task, job, "job"):
        with pytest.raises(UsageError, match=r"'poll' is to call .*: expected .* task\.s\(1, 2\)"):
            mesh.schedule("poll", every(30), call)
    for when in (30, None, job):
        with pytest.raises(UsageError, match=r"'poll' is to fire at .*: expected crontab\(\.\.\.\)"):
            mesh.schedule("poll", when, task.s())


def test_an_eager_mesh_has_no_leader() -> None:
    mesh = TaskMesh("eager", eager=True)
    task = mesh.task(job)
    with pytest.raises(UsageError, match="no leader"):
        mesh.schedule("poll", every(30), task.s())
    assert mesh.cron("0 3 * * *", name="n")(task) is task
    assert crontab("0 3 * * *").said() == ("0 3 * * *", "UTC")


@pytest.mark.parametrize("when", ["every(30)", "'every 30s'"])
def test_an_app_that_a_command_imports_defines_nothing(tmp_path, monkeypatch, when: str) -> None:
    """It can be looked at while no node answers; workers and schedulers are told what the code says."""
    (tmp_path / "looked_at.py").write_text(
        "from taskmesh import TaskMesh, every\n"
        f"mesh = TaskMesh('looked', key={'k' * 64!r}, nodes=['redis://127.0.0.1:1'])\n"
        "@mesh.task\n"
        "def job(x=0): return x\n"
        f"defined = mesh.schedule('poll', {when}, job.s(1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    mesh = load_app("looked_at:mesh", TaskMesh)
    assert not sys.modules.pop("looked_at").defined
    (schedule,) = (unpack_schedule(content) for content in mesh.declared_schedules())
    assert (schedule.name, schedule.when, len(schedule.declared)) == ("poll", "every 30s", 16)


def test_what_cannot_be_is_refused_while_a_command_imports_its_app(mesh: TaskMesh) -> None:
    task = mesh.task(job)
    with importing("app"):
        with pytest.raises(UsageError, match="is to call"):
            mesh.schedule("poll", every(30), job)
        with pytest.raises(UsageError, match="is to fire at"):
            mesh.schedule("poll", 30, task.s())
    assert not mesh.declared_schedules()
