"""TaskMesh: the same app as the rows of the budget, over TCP."""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks import app
from benchmarks.peers.adapters.base import OPTIONS, TIMEOUT_S, Adapter
from taskmesh import AsyncResult, ResultSet

POOL = OPTIONS.get("pool", "")
add = app.add_async if POOL.startswith("async") else app.add


class Peer(Adapter):
    imports = "from taskmesh import TaskMesh"
    bulk_call = "starmap"

    def send_one(self) -> AsyncResult[int]:
        return add.delay(1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        return add.starmap([(1, 2)] * n).results

    def get(self, handle: AsyncResult[int]) -> int:
        return handle.get(timeout=TIMEOUT_S)

    def get_all(self, handles: list[AsyncResult[int]], deadline: float) -> int:
        for value in ResultSet(handles).get(timeout=deadline - time.monotonic()):
            self.check(value)
        return len(handles)

    def worker_commands(self, n: int) -> list[list[str]]:
        command = [sys.executable, "-m", "taskmesh", "worker", "benchmarks.app:mesh", "-l", "WARNING"]
        return [[*command, "--pool", POOL]] * n if POOL else [[*command, "-c", str(n)]]
