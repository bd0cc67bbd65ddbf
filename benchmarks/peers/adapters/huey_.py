"""Huey: RedisHuey, a consumer with worker processes."""

from __future__ import annotations

from typing import Any

from huey import RedisHuey

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import OPTIONS, PACKAGE, TIMEOUT_S, URL, Adapter, program

huey = RedisHuey("bench", url=URL, notify_result=OPTIONS.get("notify", False))


@huey.task()
def add(x: int, y: int) -> int:
    return stamps.work(x, y)


class Peer(Adapter):
    imports = "from huey import RedisHuey"
    bulk_call = "task.map"

    def send_one(self) -> Any:
        return add(1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        return list(add.map([(1, 2)] * n))

    def get(self, handle: Any) -> Any:
        return handle.get(blocking=True, timeout=TIMEOUT_S)

    def worker_commands(self, n: int) -> list[list[str]]:
        return [[program("huey_consumer"), f"{PACKAGE}.huey_.huey", "-w", str(n), "-k", "process", "-q"]]
