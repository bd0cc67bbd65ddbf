"""A process that holds a lock again and again: `python -m benchmarks.rows.holder MESH TIMES FILE SECONDS`.

It writes a list to the file: when it asked, when it had it, when it began to give it back, and the token, each time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from taskmesh import TaskMesh

#: What says that a process could begin; and, beside it, that all of them are to.
READY, GO = ".ready", "go"


def main(argv: list[str]) -> int:
    """Hold the lock so many times, each time for so many seconds."""
    name, times, file, seconds = argv
    path = Path(file)
    mesh = TaskMesh(name)
    lock = mesh.lock("bench")
    with lock:
        pass  # connects, and whatever else is done once
    path.with_suffix(READY).touch()
    while not (path.parent / GO).exists():
        time.sleep(0.001)
    held = []
    for _ in range(int(times)):
        asked = time.monotonic()
        lock.acquire()
        got = time.monotonic()
        time.sleep(float(seconds))
        held.append((asked, got, time.monotonic(), lock.token))
        lock.release()
    mesh.close()
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(held))
    unfinished.rename(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
