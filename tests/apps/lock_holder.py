"""A process that holds locks on command: JSON lists on standard input, an answer to each on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from taskmesh import TaskMesh
from taskmesh.client.holding import Holding
from taskmesh.errors import TaskMeshError


class Holder:
    """What the commands do; each is a method."""

    def __init__(self, mesh: TaskMesh) -> None:
        self.mesh = mesh
        self.held: dict[str, Holding] = {}
        self.alarms: list[str] = []

    def acquire(self, name: str, wait: float | None = None, **settings: Any) -> int | None:
        lock = self.held[name] = self.mesh.lock(name, **settings)
        lock.on_jeopardy(lambda error: self.alarms.append(type(error).__name__))
        return lock.token if lock.acquire(wait) else None

    def release(self, name: str) -> bool:
        return self.held[name].release()

    def check(self, name: str) -> str:
        self.held[name].check()
        return "held"

    def heard(self) -> list[str]:
        return self.alarms

    def write(self, path: str, text: str, **settings: Any) -> int:
        return self.mesh.files.write(path, text, **settings).version

    def write_with_token(self, path: str, text: str, name: str) -> int:
        return self.mesh.files.write(path, text, fence=self.held[name].token).version

    def fork(self, name: str) -> list[str]:
        """Tell what a child that is forked now says of the lock, and what it can do."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write_end, self._in_child(name).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        return os.read(read_end, 1000).decode().split()

    def _in_child(self, name: str) -> str:
        lock = self.held[name]
        try:
            lock.check()
        except TaskMeshError as error:
            said = type(error).__name__
        else:
            said = "held"
        return f"{said} {lock.is_held} {lock.release()} {self.mesh.lock(name).acquire(wait=0)}"


def main() -> None:
    holder = Holder(TaskMesh(sys.argv[1], nodes=[sys.argv[2]]))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, args, kwargs = json.loads(line)
        try:
            answer = getattr(holder, name)(*args, **kwargs)
        except TaskMeshError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
