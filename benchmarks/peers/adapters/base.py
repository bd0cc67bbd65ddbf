"""What an adapter provides.

Both sides import an adapter: the producer for the class `Peer`, the workers for the task. It reads its surroundings
from the environment: `BENCH_URL` the server, `BENCH_BROKER` a broker if that is another one, `BENCH_OPTIONS` the
options of the variant, `BENCH_FOLDER` a place for files. A peer with an ordinary interface derives from `Adapter`, one
with an asyncio interface from `AsyncAdapter`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379/0")
#: RabbitMQ, or empty: then the server is the broker as well.
BROKER = os.environ.get("BENCH_BROKER", "")
OPTIONS: dict[str, Any] = json.loads(os.environ.get("BENCH_OPTIONS", "{}"))
FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))
PACKAGE = "benchmarks.peers.adapters"

#: For any single result.
TIMEOUT_S = 120


def program(name: str) -> str:
    """Return a console script of the running environment."""
    return str(Path(sys.executable).parent / name)


class Adapter:
    """The interface that the measures are written against."""

    #: What a producer imports, timed in a fresh interpreter.
    imports = ""
    #: Name of the call behind `send_bulk`; empty if there is none.
    bulk_call = ""
    #: Whether `send_bulk` is the faster way to send many.
    bulk_is_faster = True

    def __init__(self) -> None:
        #: How many results read so far were not 3.
        self.wrong = 0

    # -- producer -----------------------------------------------------------------

    def open(self) -> None:
        """Connect, where that is a step of its own."""

    def close(self) -> None:
        """Close what `open` opened."""

    def send_one(self) -> Any:
        """Send add(1, 2) by the ordinary call, and return a handle."""
        raise NotImplementedError

    def send_bulk(self, n: int) -> list[Any]:
        """Send n by the call for many, and return their handles."""
        raise NotImplementedError

    def get(self, handle: Any) -> Any:
        """Wait, in the peer's own way, until the result is there, and return it."""
        raise NotImplementedError

    def send_many(self, n: int) -> list[Any]:
        """Send n one by one."""
        return [self.send_one() for _ in range(n)]

    def send_fast(self, n: int) -> list[Any]:
        """Send n by the faster of the two."""
        return self.send_bulk(n) if self.bulk_call and self.bulk_is_faster else self.send_many(n)

    def get_all(self, handles: list[Any], deadline: float) -> int:
        """Read and check all results; return how many were read in time."""
        for done, handle in enumerate(handles):
            if time.monotonic() > deadline:
                return done
            self.check(self.get(handle))
        return len(handles)

    def round_trips(self, n: int, seconds: float) -> list[float]:
        """Send and wait, one at a time, up to n times or so long; return the seconds of each."""
        taken: list[float] = []
        end = time.monotonic() + seconds
        while len(taken) < n and time.monotonic() < end:
            start = time.perf_counter()
            value = self.get(self.send_one())
            taken.append(time.perf_counter() - start)
            self.check(value)
        return taken

    def check(self, value: Any) -> None:
        """Count a result that is not right."""
        self.wrong += value != 3

    # -- workers ------------------------------------------------------------------

    def worker_commands(self, n: int) -> list[list[str]]:
        """Return the commands that start n worker processes."""
        raise NotImplementedError


class AsyncAdapter(Adapter):
    """For asyncio interfaces. A loop over many calls runs inside the event loop, which is entered once."""

    #: Where there is no call for many, concurrent sends are the idiom: so many at once.
    together = 100
    bulk_call = "gather"

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self._run(self.aopen())

    def close(self) -> None:
        self._run(self.aclose())
        self.loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    async def aopen(self) -> None:
        """Connect."""

    async def aclose(self) -> None:
        """Disconnect."""

    async def asend_one(self) -> Any:
        """Send add(1, 2), and return a handle."""
        raise NotImplementedError

    async def aget(self, handle: Any) -> Any:
        """Wait for a result in the peer's own way, and return it."""
        raise NotImplementedError

    def send_one(self) -> Any:
        return self._run(self.asend_one())

    def get(self, handle: Any) -> Any:
        return self._run(self.aget(handle))

    def send_many(self, n: int) -> list[Any]:
        async def loop() -> list[Any]:
            return [await self.asend_one() for _ in range(n)]

        return list(self._run(loop()))

    def send_bulk(self, n: int) -> list[Any]:
        async def loop() -> list[Any]:
            handles: list[Any] = []
            while len(handles) < n:
                size = min(self.together, n - len(handles))
                handles += await asyncio.gather(*[self.asend_one() for _ in range(size)])
            return handles

        return list(self._run(loop()))

    def get_all(self, handles: list[Any], deadline: float) -> int:
        async def loop() -> int:
            for done in range(0, len(handles), self.together):
                if time.monotonic() > deadline:
                    return done
                for value in await asyncio.gather(
                    *[self.aget(one) for one in handles[done : done + self.together]]
                ):
                    self.check(value)
            return len(handles)

        return int(self._run(loop()))

    def round_trips(self, n: int, seconds: float) -> list[float]:
        async def loop() -> list[float]:
            taken: list[float] = []
            end = time.monotonic() + seconds
            while len(taken) < n and time.monotonic() < end:
                start = time.perf_counter()
                value = await self.aget(await self.asend_one())
                taken.append(time.perf_counter() - start)
                self.check(value)
            return taken

        return list(self._run(loop()))
