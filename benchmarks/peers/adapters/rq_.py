"""RQ: a pool of workers, of its default kind or of those that do not fork per job."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import Queue

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import OPTIONS, TIMEOUT_S, URL, Adapter, program

#: Jobs of one pipeline.
PART = 1000


class Peer(Adapter):
    imports = "from redis import Redis; from rq import Queue"
    bulk_call = "enqueue_many"

    def open(self) -> None:
        self.queue = Queue(connection=Redis.from_url(URL))

    def send_one(self) -> Any:
        return self.queue.enqueue(stamps.work, 1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        jobs: list[Any] = []
        while len(jobs) < n:
            part = min(PART, n - len(jobs))
            jobs += self.queue.enqueue_many([Queue.prepare_data(stamps.work, (1, 2)) for _ in range(part)])
        return jobs

    def get(self, handle: Any) -> Any:
        return handle.latest_result(timeout=TIMEOUT_S).return_value

    def worker_commands(self, n: int) -> list[list[str]]:
        return [
            [program("rq"), "worker-pool", "-n", str(n), "-w", OPTIONS["worker"], "-u", URL, "-q", "default"]
        ]
