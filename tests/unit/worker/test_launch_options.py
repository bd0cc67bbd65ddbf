"""What `mesh.workers()`, `mesh.run_worker()` and `@mesh.task` refuse at once, before any process is started."""

from __future__ import annotations

import re

import msgspec
import pytest

from taskmesh.app import TaskMesh
from taskmesh.errors import UsageError
from taskmesh.worker.launch import options_for
from taskmesh.worker.options import WorkerOptions


@pytest.mark.parametrize("concurrency", ["x", "4", 1.5, -1, 0, 99999, True, b"1"])
def test_a_number_of_children_that_cannot_be(concurrency):
    for start in (TaskMesh("launch").workers, TaskMesh("launch").run_worker):
        with pytest.raises(UsageError, match=re.escape(f"concurrency is {concurrency!r}")):
            start(concurrency)


@pytest.mark.parametrize("queues", ["mail", (5,), ("\ud800",), ("",), ("a b",), 5, None, {"mail": 1}])
def test_queues_that_cannot_be(queues):
    wrong = repr(queues[0]) if isinstance(queues, tuple) else repr(queues)
    for start in (TaskMesh("launch").workers, TaskMesh("launch").run_worker):
        with pytest.raises(UsageError, match=re.escape(wrong)):
            start(1, queues=queues)


@pytest.mark.parametrize("name", [5, b"x", "\ud800", "a\nb", None])
def test_a_name_of_a_worker_that_cannot_be(name):
    with pytest.raises(UsageError, match=re.escape(f"name is {name!r}")):
        TaskMesh("launch").workers(1, name=name)


def test_what_can_be_is_taken():
    options = options_for(TaskMesh("launch"), 1024, ("mail", "default"), "büro 1")
    assert (options.concurrency, options.queues, options.name) == (1024, ("mail", "default"), "büro 1")


def test_workers_are_candidates_unless_told_otherwise():
    mesh = TaskMesh("launch")
    assert options_for(mesh, 1, (), "").scheduler
    assert not options_for(mesh, 1, (), "", scheduler=False).scheduler
    with pytest.raises(UsageError, match="scheduler is 'no': expected True or False"):
        mesh.workers(1, scheduler="no")


@pytest.mark.parametrize("name", [5, b"x", "", "\ud800", "x" * 501])
def test_a_name_of_a_task_that_cannot_be(name):
    mesh = TaskMesh("launch")
    with pytest.raises(UsageError, match=re.escape(repr(name))):
        mesh.task(name=name)
    assert mesh.tasks == {}


def test_a_name_of_a_task_that_can_be():
    mesh = TaskMesh("launch")
    mesh.task(name="größe " + "x" * 494)(len)
    assert len(mesh.tasks) == 1


def test_settings_given_in_code_travel_with_a_mesh_that_cannot_be_imported():
    """But neither its key, which a command line would show, nor what the environment says anyway."""
    given = {
        "default_queue": "zz",
        "routes": {"a.*": "first", "*": "second"},
        "include": ["json"],
        "result_expires": "1h",
        "max_memory_per_child": "64MiB",
        "configure_logging": False,
        "allow_tasks": ["a.*"],
    }
    mesh = TaskMesh("launch", key="secret of 32 characters or so, and more", **given)
    options = msgspec.json.decode(msgspec.json.encode(options_for(mesh, 1, (), "")), type=WorkerOptions)
    assert options.settings.keys() == given.keys()
    again = TaskMesh(options.mesh, **options.settings)
    assert {name: getattr(again.settings, name) for name in given} == {
        name: getattr(mesh.settings, name) for name in given
    }
