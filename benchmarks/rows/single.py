"""`delay()`, one at a time, beside the same script called with arguments that are ready."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from benchmarks.app import add, mesh
from benchmarks.harness.figures import rounded
from benchmarks.rows.model import Measured, Run
from taskmesh.core.steps import Call, Steps
from taskmesh.queue.enqueue import ENQUEUE, enqueue_one

#: The two take turns in blocks of so many, so that both meet the same moments of the machine.
BLOCK = 250


def one_by_one(run: Run) -> Measured:
    """Time blocks of `delay()` and blocks of bare calls in turn, in one process.

    The bare calls are made in two ways: by `evalsha` of redis-py, as an application would call the script itself, and
    by TaskMesh's own driver, which is faster.
    """
    link = mesh.link.open()
    for _ in range(200):
        add.delay(1, 2)
    client = _redis_client(run.url)
    taken: dict[str, list[float]] = {"delay": [], "driver": [], "redis-py": []}
    cpu_s = 0.0
    for _ in range(max(1, run.n // BLOCK)):
        calls = _ready_calls(2 * BLOCK)
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(BLOCK):
            add.delay(1, 2)
        taken["delay"].append(time.perf_counter() - start)
        cpu_s += time.process_time() - cpu
        start = time.perf_counter()
        for call in calls[:BLOCK]:
            link.driver.run(_one(call))
        taken["driver"].append(time.perf_counter() - start)
        words = [(call.prefix, *call.args) for call in calls[BLOCK:]]
        sha = ENQUEUE.sha.decode()
        start = time.perf_counter()
        for args in words:
            client.evalsha(sha, 1, *args)
        taken["redis-py"].append(time.perf_counter() - start)
    rates = {name: BLOCK / median(times) for name, times in taken.items()}
    ratios = {
        name: [ready / delay for ready, delay in zip(taken[name], taken["delay"], strict=True)]
        for name in ("driver", "redis-py")
    }
    return Measured(
        {
            "redis-py": median(ratios["redis-py"]),
            "driver": median(ratios["driver"]),
            "rate": rates["delay"],
        },
        {
            "delay_per_s": rounded(rates["delay"]),
            "ready_by_driver_per_s": rounded(rates["driver"]),
            "ready_by_redis_py_per_s": rounded(rates["redis-py"]),
            "delay_cpu_us": rounded(cpu_s / len(taken["delay"]) / BLOCK * 1e6),
        },
    )


def _ready_calls(n: int) -> list[Call]:
    link, sender = mesh.link, mesh.portal.sender
    options = add.send_options({})
    return [
        next(enqueue_one(link.session, sender.build(add.name, (1, 2), {}, options)))[0]  # type: ignore[index]
        for _ in range(n)
    ]


def _one(call: Call) -> Steps[Any]:
    (reply,) = yield [call]
    return reply


def _redis_client(url: str) -> Any:
    import redis

    client = redis.Redis.from_url(url)
    client.script_load(ENQUEUE.source.decode())
    return client
