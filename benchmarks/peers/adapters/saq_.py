"""SAQ: Redis queue, ten jobs at once per process (its default)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from saq import Queue

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import PACKAGE, URL, AsyncAdapter, program


async def add(_: dict[str, Any], *, x: int, y: int) -> int:
    return stamps.work(x, y)


queue = Queue.from_url(URL)
settings = {"queue": queue, "functions": [add]}


class Peer(AsyncAdapter):
    imports = "from saq import Queue; Queue.from_url('redis://127.0.0.1')"

    async def aopen(self) -> None:
        await queue.connect()

    async def aclose(self) -> None:
        await queue.disconnect()

    async def asend_one(self) -> Any:
        return await queue.enqueue("add", x=1, y=2)

    async def aget(self, handle: Any) -> Any:
        while not handle.completed:
            # a job that ends between its look and its listening is missed: look again every second
            with contextlib.suppress(asyncio.TimeoutError):
                await handle.refresh(until_complete=1)
        return handle.result

    def worker_commands(self, n: int) -> list[list[str]]:
        return [[program("saq"), f"{PACKAGE}.saq_.settings", "--workers", str(n)]]
