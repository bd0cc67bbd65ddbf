"""Taskiq: the list broker of taskiq-redis, results in Redis."""

from __future__ import annotations

from typing import Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import PACKAGE, TIMEOUT_S, URL, AsyncAdapter, program

broker = ListQueueBroker(url=URL).with_result_backend(
    RedisAsyncResultBackend(redis_url=URL, result_ex_time=3600)
)


@broker.task
async def add(x: int, y: int) -> int:
    return stamps.work(x, y)


class Peer(AsyncAdapter):
    imports = "from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend"

    async def aopen(self) -> None:
        await broker.startup()

    async def aclose(self) -> None:
        await broker.shutdown()

    async def asend_one(self) -> Any:
        return await add.kiq(1, 2)

    async def aget(self, handle: Any) -> Any:
        return (await handle.wait_result(timeout=TIMEOUT_S)).return_value

    def worker_commands(self, n: int) -> list[list[str]]:
        return [
            [program("taskiq"), "worker", f"{PACKAGE}.taskiq_:broker", "-w", str(n), "--log-level", "WARNING"]
        ]
