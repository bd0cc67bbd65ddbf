"""taskito: its engine is a native scheduler over SQLite (its default) or Redis; results are polled for."""

from __future__ import annotations

import os
from typing import Any

from taskito import Queue

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import FOLDER, OPTIONS, PACKAGE, TIMEOUT_S, URL, Adapter, program

if OPTIONS.get("backend") == "redis":
    storage = {"backend": "redis", "db_url": URL}
else:
    storage = {"db_path": str(FOLDER / "taskito.db")}
queue = Queue(
    workers=int(os.environ.get("BENCH_WORKERS", "2")), scheduler_batch_size=OPTIONS.get("batch", 1), **storage
)


@queue.task()
def add(x: int, y: int) -> int:
    return stamps.work(x, y)


class Peer(Adapter):
    imports = "from taskito import Queue"
    bulk_call = "task.map"

    def send_one(self) -> Any:
        return add.delay(1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        return list(add.map([(1, 2)] * n))

    def get(self, handle: Any) -> Any:
        return handle.result(timeout=TIMEOUT_S)

    def worker_commands(self, n: int) -> list[list[str]]:
        os.environ["BENCH_WORKERS"] = str(n)  # taskito takes it from the queue's own settings
        return [[program("taskito"), "worker", "--app", f"{PACKAGE}.taskito_:queue", "--pool", "prefork"]]
