"""Celery: Redis as broker (or RabbitMQ) and for results, JSON (its defaults)."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery, group
from celery.result import ResultSet

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import BROKER, OPTIONS, PACKAGE, TIMEOUT_S, URL, Adapter, program

app = Celery("bench", broker=BROKER or URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True


@app.task
def add(x: int, y: int) -> int:
    return stamps.work(x, y)


class Peer(Adapter):
    imports = "from celery import Celery; Celery('x').task"
    bulk_call = "group"
    bulk_is_faster = False  # it builds a signature per task, and publishes them one by one

    def send_one(self) -> Any:
        return add.delay(1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        return list(group(add.s(1, 2) for _ in range(n)).apply_async().results)

    def get(self, handle: Any) -> Any:
        return handle.get(timeout=TIMEOUT_S)

    def get_all(self, handles: list[Any], deadline: float) -> int:
        for value in ResultSet(handles).get(timeout=max(1, deadline - time.monotonic())):
            self.check(value)
        return len(handles)

    def worker_commands(self, n: int) -> list[list[str]]:
        return [
            [
                program("celery"),
                "-A",
                f"{PACKAGE}.celery_",
                "worker",
                "-P",
                OPTIONS.get("pool", "prefork"),
                "-c",
                str(n),
                "-l",
                "WARNING",
            ]
        ]
