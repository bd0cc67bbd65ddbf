"""A task that blocks the event loop is named."""

from __future__ import annotations

import os
import re
import signal
import time

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def test_a_blocked_loop_is_reported_once_with_the_task_and_its_place(scene: Scene) -> None:
    worker = scene.worker(pools=("async:10",))
    blocking = scene.send(tasks.block_loop, str(scene.folder), "first", 1, expect=1)
    scene.started("first")
    worker.says(f"by task {blocking.id} (tests.apps.worker_tasks.block_loop)")
    worker.says("in await_file")
    (seconds,) = re.findall(rf"has been blocked for ([\d.]+) s by task {blocking.id} ", worker.said())
    assert float(seconds) >= 1.2
    # a second blocking is reported as well, the first one no more
    scene.let("first")
    blocking.get(90)
    again = scene.send(tasks.block_loop_beside, str(scene.folder), "second", expect=0)
    scene.started("second")
    worker.says(f"by one of task {again.id} (tests.apps.worker_tasks.block_loop_beside)")
    scene.let("second")
    scene.check()
    # of no others: while a process stands still, its loop may seem blocked by whatever it runs
    reports = re.findall(r"has been blocked for [\d.]+ s by (?:one of )?task (\S+)", worker.said())
    assert [reports.count(each.id) for each in (blocking, again)] == [1, 1]


def test_a_loop_that_is_blocked_is_reported_though_its_process_stood_still_meanwhile(scene: Scene) -> None:
    """As a busy machine has it stand still; what comes of that alone is no report."""
    worker = scene.worker(pools=("async:10",))
    blocking = scene.send(tasks.block_loop, str(scene.folder), "first", 1, expect=1)
    child = scene.started("first")
    os.kill(child, signal.SIGSTOP)
    until_s = time.monotonic() + 2.0
    wait_until(lambda: time.monotonic() > until_s)
    os.kill(child, signal.SIGCONT)
    worker.says(f"by task {blocking.id} (tests.apps.worker_tasks.block_loop)")
    scene.let("first")
    scene.check()
