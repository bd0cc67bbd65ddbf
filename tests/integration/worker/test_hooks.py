"""Hooks of workers and children, in real processes."""

from __future__ import annotations

import signal

import pytest

from taskmesh import BaseTask, TaskMesh
from taskmesh.core.hooks import EVENTS
from taskmesh.queue.inspect import begun
from taskmesh.testing.thread_worker import ThreadWorker
from tests.apps import worker_tasks
from tests.faults.scene import Scene
from tests.support import wait_until

APP = "tests.apps.worker_life:mesh"


def env(scene: Scene, life: str) -> dict[str, str]:
    return {"TASKMESH_TEST_LIFE": life, "TASKMESH_TEST_FOLDER": str(scene.folder)}


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_each_hook_is_called_where_it_belongs(scene: Scene, start_method: str) -> None:
    worker = scene.worker(1, app=APP, env=env(scene, "hooks"), start_method=start_method)
    pid = scene.mesh.task(name="life.pid")(print).delay().get(90)
    wait_until(lambda: any(line.startswith("after") for line in scene.notes()), what="a run has ended")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    start, child_start, before, after, child_stop, stop = (line.split() for line in scene.notes())
    assert start[:3] == ["worker-start", "worker1", "0"]
    assert child_start == ["child-start", "worker1", "1", str(pid)]
    assert before == ["before", "life.pid", str(pid)]
    assert after == ["after", "life.pid", str(pid), "SUCCESS", "True"]
    assert child_stop == ["child-stop", "worker1", "1", str(pid)]
    assert stop == ["worker-stop", *start[1:]]
    assert start[3] not in {str(pid), str(worker.pid)}


def test_a_child_that_retires_says_goodbye_and_its_successor_hello(scene: Scene) -> None:
    scene.worker(1, app=APP, env=env(scene, "hooks"), max_tasks_per_child=1)
    scene.mesh.task(name="life.pid")(print).delay().get(90)
    wait_until(
        lambda: (
            [line.split()[:3] for line in scene.notes() if line.startswith("child")]
            == [
                ["child-start", "worker1", "1"],
                ["child-stop", "worker1", "1"],
                ["child-start", "worker1", "2"],
            ]
        )
    )


def test_a_run_that_is_repeated_is_told_as_such(scene: Scene) -> None:
    scene.worker(1, app=APP, env=env(scene, "hooks"))
    assert scene.mesh.task(name="life.again")(print).delay().get(90) == 1
    wait_until(lambda: sum(line.startswith("after") for line in scene.notes()) == 2)
    words = [line.split() for line in scene.notes() if not line.startswith("child")]
    assert [word[0] for word in words] == ["worker-start", "before", "retry", "after", "before", "after"]
    assert words[2] == ["retry", "life.again", "ValueError('once')"]
    assert words[3][3] == "RETRY"
    assert words[5][3] == "SUCCESS"


def test_a_worker_whose_hook_fails_does_not_start_and_says_why(scene: Scene) -> None:
    worker = scene.worker(1, app=APP, env=env(scene, "no-start"), ready=False)
    assert worker.exit_code() == 1
    assert "a hook of on_worker_start failed" in worker.said()
    assert "RuntimeError: not today" in worker.said()


def test_children_whose_hook_fails_are_tried_again_until_it_does_not(scene: Scene) -> None:
    """The database is down for a while; the worker is not given up for that."""
    worker = scene.worker(1, app=APP, env=env(scene, "late-start"), ready=False)
    wait_until(lambda: len(scene.notes()) >= 4, what="the hook has failed more often than a start may")
    assert worker.process.poll() is None
    assert scene.idle() == 0
    worker.says("ConnectionError: the database is down")
    assert "died by" not in worker.said()
    scene.let("start")
    scene.send(worker_tasks.add, 1, 2, expect=3)
    scene.check()


@pytest.mark.parametrize("pool", ["process:1", "thread:2", "async:2"])
def test_a_keyboard_interrupt_of_a_hook_is_an_error_like_any_other(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,), app=APP, env=env(scene, "ctrl-c"))
    handle = scene.mesh.task(name="life.pid")(print).delay()
    assert handle.get(90) == scene.mesh.task(name="life.pid")(print).delay().get(90)
    worker.says("break_off failed; that changes nothing else")
    assert "died by" not in worker.said()


def test_children_that_have_begun_are_told_from_those_that_try(scene: Scene) -> None:
    """So that `taskmesh doctor` does not call a worker fine that runs nothing."""
    link = scene.mesh.link.open()
    worker = scene.worker(2, app=APP, env=env(scene, "late-start"), ready=False)
    worker.says("does not start, for a hook failed")
    incarnation = scene.live_workers()[worker.name].encode()
    wait_until(lambda: len([line for line in scene.notes() if line.startswith("refused")]) >= 4)
    assert link.run(begun(link.session, incarnation)) == 0
    scene.let("start")
    wait_until(lambda: link.run(begun(link.session, incarnation)) == 2)


def test_a_burst_gives_up_when_a_hook_fails_again_and_again(scene: Scene) -> None:
    worker = scene.worker(1, app=APP, env=env(scene, "late-start"), burst=True, ready=False)
    assert worker.exit_code() == 1
    assert "no child of worker worker1 can start" in worker.said()


def test_lines_about_tasks_are_told_at_debug_only(scene: Scene) -> None:
    loud = scene.worker(1, queues=("loud",))
    quiet = scene.worker(1, queues=("quiet",), log_level="INFO")
    for queue in ("loud", "quiet"):
        handle = scene.task(worker_tasks.add).apply_async((1, 2), queue=queue)
        scene.enter(handle, 3).get(90)
    name = "tests.apps.worker_tasks.add"
    loud.says(f"({name}) starts, attempt 1 from queue loud")
    loud.says(f"({name}) succeeded after ")
    scene.check()
    assert name not in quiet.said()


def test_hooks_in_a_thread_worker(chaos_node):
    """In the order of a real worker: worker, child, task, and back."""
    notes = []
    with TaskMesh("hooked", nodes=[f"unix://{chaos_node.socket_path}"], key="k" * 32) as mesh:

        @mesh.task(name="one")
        def one():
            return 1

        for event in EVENTS:
            mesh.hooks.add(event, lambda *args, event=event: notes.append(event))
        with ThreadWorker(mesh):
            assert one.delay().get(90) == 1
    assert notes == [
        "on_worker_start",
        "on_child_start",
        "before_task",
        "on_success",
        "after_task",
        "on_child_stop",
        "on_worker_stop",
    ]


def test_a_class_that_travels_by_value_knows_its_task(scene: Scene) -> None:
    class Flaky(BaseTask):
        name = "flaky"
        default_retry_delay = 0
        factor = 3

        def run(self, number: int) -> int:
            if not self.request.retries:
                raise self.retry(exc=ValueError("once"))
            return self.factor * number

    scene.worker(1, app="", mesh=scene.name)
    flaky = scene.mesh.register_task(Flaky())
    assert flaky.by_value
    assert flaky.delay(4).get(90) == 12


def test_only_tasks_with_hooks_of_their_own_are_watched_for_these(chaos_node) -> None:
    seen = []

    class Own(BaseTask):
        def run(self) -> int:
            return 1

        def before_start(self, task_id, args, kwargs) -> None:
            seen.append("own")

    with TaskMesh("own-hooks", nodes=[f"unix://{chaos_node.socket_path}"], key="k" * 32) as mesh:
        own = mesh.register_task(Own())
        other = mesh.task(name="other")(len)
        own._by_value = other._by_value = False
        with ThreadWorker(mesh):
            assert other.delay("abc").get(90) == 3
            assert own.delay().get(90) == 1
    assert seen == ["own"]
