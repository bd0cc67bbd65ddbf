"""Takes one measure of one variant, in the peer's own environment; the runner starts it. Prints a line of JSON.

`python -m benchmarks.peers.measure PEER MEASURE {"n": ..., "cap": ..., "log": ..., "workers": ...}`
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import stamps
from benchmarks.harness.figures import percentile
from benchmarks.harness.processes import MIB, Workers, adopt_orphans
from benchmarks.harness.resp import command, server_cpu_seconds
from benchmarks.peers.adapters.base import PACKAGE, URL

ROOT = Path(__file__).resolve().parents[2]
#: Between the start of workers and their first task: SAQ's look around at its start can abort what is queued.
SETTLE_S = 1.0
WARM_UP = 50
#: How long round trips are taken at most.
LATENCY_S = 8.0
#: Fresh interpreters that import; the best counts, the first is left out.
IMPORTS = 4
_TIMED = "import sys, time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


class Bench:
    """The measures."""

    def __init__(self, peer: Any, order: dict[str, Any]) -> None:
        self.peer = peer
        self.n: int = order["n"]
        self.cap_s: float = order["cap"]
        self.count: int = order["workers"]
        self._log = Path(order["log"])
        self._workers: Workers | None = None

    @property
    def workers(self) -> Workers:
        """The running workers."""
        if self._workers is None:
            raise RuntimeError("no workers have been started")
        return self._workers

    def start(self) -> None:
        """Start the workers."""
        self._workers = Workers(self.peer.worker_commands(self.count), cwd=ROOT, log=self._log)

    def finish(self) -> None:
        """Stop the workers, if there are any."""
        if self._workers is not None:
            self._workers.stop()

    def wait_for_count(self, n: int, seconds: float, poll_s: float = 0.02) -> bool:
        """Wait until so many have run; tell whether they have."""
        deadline = time.monotonic() + seconds
        while stamps.count() < n:
            if time.monotonic() > deadline:
                return False
            if not self.workers.alive():
                raise RuntimeError("a worker command has ended")
            time.sleep(poll_s)
        return True

    def wait_for_first(self, poll_s: float = 0.02) -> None:
        """Wait until the workers work."""
        if not self.wait_for_count(1, 60, poll_s):
            raise RuntimeError("the workers ran nothing within 60 s")

    def warm_up(self) -> None:
        """Start the workers, and have every process of them run something."""
        self.start()
        time.sleep(SETTLE_S)
        handles = self.peer.send_many(WARM_UP)
        if not self.wait_for_count(WARM_UP, 60):
            raise RuntimeError("the workers did not warm up within 60 s")
        self.peer.get_all(handles, time.monotonic() + 60)
        time.sleep(SETTLE_S)
        stamps.clear()

    # -- measures -----------------------------------------------------------------

    def enqueue(self) -> dict[str, Any]:
        """One producer, no workers: n one by one, then n in bulk."""
        self.peer.send_many(100)
        start, cpu = time.perf_counter(), time.process_time()
        handles = self.peer.send_many(self.n)
        found: dict[str, Any] = {
            "rate": self.n / (time.perf_counter() - start),
            "cpu_us": (time.process_time() - cpu) / self.n * 1e6,
        }
        del handles
        if self.peer.bulk_call:
            self.peer.send_bulk(100)
            start = time.perf_counter()
            self.peer.send_bulk(self.n)
            found["bulk_rate"] = self.n / (time.perf_counter() - start)
            found["bulk_call"] = self.peer.bulk_call
        return found

    def drain(self) -> dict[str, Any]:
        """Queue n, then start the workers: the rate from the first execution to the last."""
        handles = self.peer.send_fast(self.n)
        self.start()
        self.wait_for_first()
        before = self.workers.cpu_seconds(), server_cpu_seconds(URL), stamps.count()
        complete = self.wait_for_count(self.n, self.cap_s)
        after = self.workers.cpu_seconds(), server_cpu_seconds(URL), stamps.count()
        times = stamps.timeline()
        if complete:
            sample = [*handles[:20], handles[self.n // 2], handles[-1]]
            if self.peer.get_all(sample, time.monotonic() + 30) < len(sample):
                raise RuntimeError("a result is missing")
        done = max(1, after[2] - before[2])
        return {
            "rate": (len(times) - 1) / (times[-1] - times[0]),
            "capped": not complete,
            "executed": len(times),
            "worker_cpu_us": (after[0] - before[0]) / done * 1e6,
            "server_cpu_us": (after[1] - before[1]) / done * 1e6,
        }

    def e2e(self) -> dict[str, Any]:
        """Workers run: n sent the fastest way, until every result has been read the fastest way."""
        self.warm_up()
        start = time.monotonic()
        handles = self.peer.send_fast(self.n)
        sent = time.monotonic()
        done = self.peer.get_all(handles, start + self.cap_s)
        end = time.monotonic()
        return {
            "rate": done / (end - start),
            "capped": done < self.n,
            "sent_s": sent - start,
            "seconds": end - start,
        }

    def latency(self) -> dict[str, Any]:
        """Workers idle: send one, wait for its result; again and again."""
        self.warm_up()
        taken = sorted(self.peer.round_trips(self.n, LATENCY_S))
        return {
            "samples": len(taken),
            **{f"p{percent}_ms": percentile(taken, percent) * 1000 for percent in (50, 99)},
        }

    def footprint(self) -> dict[str, Any]:
        """One task waits while the workers start; memory after 100 tasks and two idle seconds; time to import."""
        imports = []
        for _ in range(IMPORTS):
            words = [sys.executable, "-c", _TIMED.format(self.peer.imports)]
            imports.append(float(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
        self.peer.send_one()
        self.start()
        self.wait_for_first(poll_s=0.005)
        started = stamps.timeline()[0] - self.workers.started
        self.peer.send_many(100)
        self.wait_for_count(101, 60)
        time.sleep(2)
        memory = self.workers.memory()
        return {
            "start_s": started,
            "import_ms": min(imports[1:]) * 1000,
            "processes": len(memory),
            "pss_mib": sum(size["pss"] for size in memory) / MIB,
        }


def main(argv: list[str]) -> int:
    """Measure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    adopt_orphans()
    command(URL, "PING")
    peer = importlib.import_module(f"{PACKAGE}.{argv[0]}_").Peer()
    bench = Bench(peer, json.loads(argv[2]))
    peer.open()
    try:
        found = getattr(bench, argv[1])()
    finally:
        bench.finish()
        peer.close()
    print(json.dumps({**found, "wrong": peer.wrong}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
