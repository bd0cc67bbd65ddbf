"""A process that has children make one transaction each, and kills each of them at some moment, perhaps too late."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from math import inf

from taskmesh import TaskMesh
from taskmesh.client import transaction

MESSAGES = 3
#: With this a transaction does not fit into its decision.
LARGE = 60_000


def add(a: int, b: int) -> int:
    return a + b


def transact(mesh: TaskMesh, number: int, ready: Callable[[], object]) -> None:
    # who is not killed is to see its end, however slow the machine
    mesh.agreement.registers.patience_s = 60.0
    task = mesh.tasks["add"]
    lock = mesh.lock(f"lock-{number}")
    lock.acquire()
    ready()
    with mesh.transaction(f"t-{number}") as tx:
        for at in range(MESSAGES):
            task.apply_async((number, at), task_id=f"t-{number}-{at}")
        for name in ("a", "b"):
            tx.write(f"{name}/{number}", b"x" * (LARGE if number % 2 else 1))
        tx.release(lock)


def in_child(mesh: TaskMesh, number: int, kill_after_s: float) -> tuple[bool, float]:
    """Have a child make a transaction; return whether it lived to see its end, and how long that took.

    It is killed after so many seconds, below 0 when it has decided, and at 0 never.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        if kill_after_s < 0:
            # it dies when all is decided, and nothing done
            transaction.complete = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        transact(mesh, number, lambda: os.write(write_end, b"."))
        os._exit(0)
    os.read(read_end, 1)
    began_s = time.monotonic()
    if kill_after_s > 0:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(read_end)
    os.close(write_end)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, time.monotonic() - began_s


def main() -> None:
    name, urls, key, count, seed, when = sys.argv[1:]
    chance = random.Random(int(seed))
    with TaskMesh(name, nodes=json.loads(urls), key=key or None) as mesh:
        mesh.task(name="add")(add)
        takes_s = {0: inf, 1: inf}
        for number in range(int(count)):
            # the first two, a small one and a large one, tell how long it takes: too long if the machine stood still
            kind, kill_after_s = number % 2, 0.0
            if number > 1:
                kill_after_s = chance.uniform(0.0001, takes_s[kind]) if when == "anywhere" else -1.0
            heard, took_s = in_child(mesh, number, kill_after_s)
            if heard:
                takes_s[kind] = min(takes_s[kind], took_s)
            print(json.dumps([number, heard]), flush=True)


if __name__ == "__main__":
    main()
