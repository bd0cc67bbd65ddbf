"""A server like gunicorn: a parent that has sent and listened forks children, which do so, too.

Run as a program with workers of its own; prints a line per thing that went well.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskmesh import TaskMesh
from taskmesh.worker import launch

mesh = TaskMesh("prefork", embedded="private")
FOLDER = Path(os.environ.get("PREFORK_FOLDER", "."))
TIMEOUT_S = 90.0


@mesh.task
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


@mesh.task
def hold(name: str, value: Any) -> Any:
    """Wait for a file."""
    while not (FOLDER / name).exists():
        time.sleep(0.005)
    return value


def say(*words: object) -> None:
    """Print whole lines, whoever else prints."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def fork(body: Callable[[], None]) -> int:
    """Run the body in a child, and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        body()
        code = 0
    except BaseException:  # noqa: BLE001 - the edge of a process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Send, fork, send."""
    launch.START_TIMEOUT_S = 180.0  # a busy machine takes as long as that
    with mesh.workers(3):
        executor = mesh.executor()
        assert add.delay(1, 1).get(timeout=TIMEOUT_S) == 2
        assert executor.submit(add, 1, 2).result(TIMEOUT_S) == 3
        early = hold.delay("early", "of the parent")
        # a thread leads, another is parked, and the executor's thread waits, while the process forks
        got: list[Any] = []
        waiting = [
            threading.Thread(target=lambda: got.append(early.get(timeout=TIMEOUT_S))) for _ in range(2)
        ]
        future = executor.submit(hold, "early", "of the executor")
        for thread in waiting:
            thread.start()
        while not mesh.portal.inbox._line.parked:
            time.sleep(0.005)

        def serve(number: int) -> None:
            sent = [add.delay(number, n) for n in range(30)]
            assert [result.get(timeout=TIMEOUT_S) for result in sent] == [number + n for n in range(30)]
            assert add.map(range(0)).get() == []
            assert sum(add.starmap((number, n) for n in range(200)).get(TIMEOUT_S)) == number * 200 + 19900
            with mesh.executor() as own:
                assert list(own.map(add, range(20), range(20))) == [2 * n for n in range(20)]
            assert executor.submit(add, number, 1).result(TIMEOUT_S) == number + 1
            say("child", number, "ready")
            while not (FOLDER / "early").exists():
                time.sleep(0.005)
            # what the parent has sent belongs to anybody
            assert early.get(timeout=TIMEOUT_S) == "of the parent"
            assert future.result(TIMEOUT_S) == "of the executor"
            ids = {result.id for result in sent}
            (FOLDER / f"ids-{number}").write_text("\n".join(ids))
            say("child", number, "done")

        children = [fork(lambda n=n: serve(n)) for n in range(3)]
        assert add.delay(5, 5).get(timeout=TIMEOUT_S) == 10
        grandchild = fork(
            lambda: os._exit(os.waitstatus_to_exitcode(os.waitpid(fork(lambda: serve(9)), 0)[1]))
        )
        (FOLDER / "early").touch()
        for pid in [*children, grandchild]:
            say("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        for thread in waiting:
            thread.join(TIMEOUT_S)
        say("parent", got, future.result(TIMEOUT_S))
        ids = [line for n in (0, 1, 2, 9) for line in (FOLDER / f"ids-{n}").read_text().split()]
        say("ids", len(ids), len(set(ids)))
        say("read", sum(mesh.result(task_id).get(timeout=TIMEOUT_S) for task_id in ids[:5]) > 0)
        executor.shutdown()
    mesh.close()


if __name__ == "__main__":
    main()
