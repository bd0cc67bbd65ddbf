"""A program that ends while futures are pending, or submits when it is too late.

Prints what happens in which order.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from pathlib import Path

from taskmesh import TaskMesh
from taskmesh.client import collector
from taskmesh.worker import launch

mesh = TaskMesh("at-exit", embedded="private")


@mesh.task
def hold(path: str) -> str:
    """Wait for a file."""
    while not Path(path).exists():
        time.sleep(0.005)
    return "let go"


def main(path: str) -> None:
    """Leave a future behind."""
    launch.START_TIMEOUT_S = 180.0  # a busy machine takes as long as that
    workers = mesh.workers(1).start()
    executor = mesh.executor()
    future = executor.submit(hold, path)
    future.add_done_callback(lambda done: print("ended:", done.result()))

    def afterwards() -> None:
        try:
            executor.submit(hold, path)
        except RuntimeError as error:
            print("too late:", error)
        workers.stop()
        print("done:", future.done(), Path(path).exists())

    def let_go() -> None:
        # once the interpreter waits for the executor's thread
        while not collector._exiting:
            time.sleep(0.005)
        print("exiting:", not future.done())
        Path(path).touch()

    atexit.register(afterwards)
    threading.Thread(target=let_go, daemon=True).start()
    print("end of main")


if __name__ == "__main__":
    main(sys.argv[1])
