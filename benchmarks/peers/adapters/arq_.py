"""arq: worker processes side by side, each with up to 100 jobs at once."""

from __future__ import annotations

import sys
from typing import Any

from arq import create_pool, run_worker
from arq.connections import RedisSettings

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import PACKAGE, TIMEOUT_S, URL, AsyncAdapter

SETTINGS = RedisSettings.from_dsn(URL)


async def add(_: dict[str, Any], x: int, y: int) -> int:
    return stamps.work(x, y)


class WorkerSettings:
    functions = [add]  # noqa: RUF012 - what arq wants
    redis_settings = SETTINGS
    max_jobs = 100


class Peer(AsyncAdapter):
    imports = "from arq import create_pool"

    async def aopen(self) -> None:
        self.pool = await create_pool(SETTINGS)

    async def aclose(self) -> None:
        await self.pool.aclose()

    async def asend_one(self) -> Any:
        return await self.pool.enqueue_job("add", 1, 2)

    async def aget(self, handle: Any) -> Any:
        return await handle.result(timeout=TIMEOUT_S)

    def worker_commands(self, n: int) -> list[list[str]]:
        return [[sys.executable, "-m", f"{PACKAGE}.arq_"]] * n


if __name__ == "__main__":
    # not arq's own command, which logs two lines per job
    run_worker(WorkerSettings)
