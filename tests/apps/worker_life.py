"""An app whose logging and hooks a test chooses by the environment."""

from __future__ import annotations

import logging
import os

from taskmesh import TaskMesh, get_task_logger
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
if "large" in LIFE:
    kept.append(b"x" * (200 << 20))
