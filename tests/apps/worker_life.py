"""An app whose logging and hooks a test chooses by the environment."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from taskmesh import CurrentTask, Middleware, State, TaskMesh, WorkerContext, current_task, get_task_logger
from tests.apps import worker_tasks

LIFE = os.environ.get("TASKMESH_TEST_LIFE", "").split(",")

log = get_task_logger(__name__)
mesh = worker_tasks.register(TaskMesh(os.environ["TASKMESH_TEST_MESH"]))


@mesh.task(name="life.say")
def say(word: str) -> str:
    """Log it at three levels, and print it."""
    log.debug("a debug %s", word)
    log.info("an info %s", word)
    log.warning("a warning %s", word)
    print(f"printed {word}", flush=True)
    return word


@mesh.task(name="life.pid")
def pid() -> int:
    """Return which process runs it."""
    return os.getpid()


@mesh.task(name="life.again", autoretry_for=(ValueError,), default_retry_delay=0)
def again() -> int:
    """Fail once."""
    if not current_task().retries:
        raise ValueError("once")
    return current_task().retries


kept: list[bytes] = []


@mesh.task(name="life.leak")
def leak(megabytes: int) -> int:
    """Keep so much for ever, and return which process does."""
    kept.append(b"x" * (megabytes << 20))
    return os.getpid()


if "log-implicitly" in LIFE:
    logging.warning("while importing")  # noqa: LOG015 - what many an app does
if "log-own" in LIFE:
    logging.basicConfig(format="MINE %(levelname)s %(message)s", level="INFO")


def note(word: str) -> None:
    """Leave a note for the test."""
    worker_tasks.note(os.environ["TASKMESH_TEST_FOLDER"], word)


class Watcher(Middleware):
    """Notes every event of a worker, with the process in which it came."""

    def on_worker_start(self, worker: WorkerContext) -> None:
        note(f"worker-start {worker.name} {worker.child} {os.getpid()}")

    def on_worker_stop(self, worker: WorkerContext) -> None:
        note(f"worker-stop {worker.name} {worker.child} {os.getpid()}")

    async def on_child_start(self, worker: WorkerContext) -> None:
        note(f"child-start {worker.name} {worker.child} {os.getpid()}")

    def on_child_stop(self, worker: WorkerContext) -> None:
        note(f"child-stop {worker.name} {worker.child} {os.getpid()}")

    def before_task(self, task: CurrentTask) -> None:
        note(f"before {task.name} {os.getpid()}")

    def on_retry(self, task: CurrentTask, error: BaseException) -> None:
        note(f"retry {task.name} {error!r}")

    def after_task(self, task: CurrentTask, state: State, seconds: float) -> None:
        note(f"after {task.name} {os.getpid()} {state} {seconds >= 0}")


if "hooks" in LIFE:
    mesh.add_hooks(Watcher())
if "no-start" in LIFE:

    @mesh.on_worker_start
    def refuse(_worker: WorkerContext) -> None:
        """Keep the worker from starting."""
        raise RuntimeError("not today")


if "late-start" in LIFE:

    @mesh.on_child_start
    def wait_for_it(worker: WorkerContext) -> None:
        """Keep children from starting until a file is there."""
        if not Path(os.environ["TASKMESH_TEST_FOLDER"], "let-start").exists():
            note(f"refused {worker.child}")
            raise ConnectionError("the database is down")


if "ctrl-c" in LIFE:

    @mesh.on_success
    def break_off(_task: CurrentTask, _value: object) -> None:
        """Raise what no Ctrl-C has raised: a worker's processes ignore it."""
        raise KeyboardInterrupt


if "large" in LIFE:
    kept.append(b"x" * (200 << 20))
