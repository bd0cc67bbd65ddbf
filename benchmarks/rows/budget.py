"""The table of the budget: every row that one node can show, on two cores, results stored, signatures on."""

from __future__ import annotations

from benchmarks.rows.budget_agreement import AGREEMENT
from benchmarks.rows.crashes import dead_machine, killed_child
from benchmarks.rows.drain import drain, growth, starmap
from benchmarks.rows.footprint import idle_child, imports, worker_start
from benchmarks.rows.model import Measurement, Row
from benchmarks.rows.order import delayed, priorities
from benchmarks.rows.pools import pool_drain, retries, sleepers
from benchmarks.rows.single import one_by_one
from benchmarks.rows.waiting import end_to_end, latency

#: The setting's default; the budget of a dead machine follows from it.
LEASE_TTL_S = 10.0


def _drain(durability: str, budget: float, words: str) -> Measurement:
    return Measurement(
        f"drain-{durability}",
        drain,
        {"rate": Row(f"drain-{durability}", f"drain of no-op tasks, {words}", "tasks/s", budget, "more")},
        n=200_000,
        quick_n=20_000,
        durability=durability,
    )


def _starmap(durability: str, budget: float, words: str) -> Measurement:
    return Measurement(
        f"starmap-{durability}",
        starmap,
        {"rate": Row(f"starmap-{durability}", f"`starmap` of 100,000, {words}", "tasks/s", budget, "more")},
        n=100_000,
        quick_n=20_000,
        durability=durability,
    )


def _dead_machine(where: str, *, other_host: bool) -> Measurement:
    row = Row(
        f"dead-machine-{where}",
        f"a dead machine's messages run again, seen from {'another' if other_host else 'the same'} host",
        "s",
        LEASE_TTL_S + 2,
        "less",
    )
    return Measurement(
        row.name,
        dead_machine,
        {"seconds": row},
        n=1,
        quick_n=1,
        options={"other_host": other_host, "settle_s": 1.0},
    )


BUDGET: tuple[Measurement, ...] = (
    _drain("memory", 50_000, "without persistence"),
    _drain("process", 40_000, "durability `process`"),
    _drain("disk", 30_000, "durability `disk`"),
    Measurement(
        "delay",
        one_by_one,
        {
            "redis-py": Row(
                "delay-ratio",
                "`delay()` one at a time / the same script by redis-py, arguments ready",
                "×",
                0.85,
                "more",
            ),
            "driver": Row(
                "delay-ratio-driver",
                "`delay()` one at a time / the same script by TaskMesh's driver, arguments ready",
                "×",
                0.85,
                "more",
            ),
            "rate": Row("delay-rate", "`delay()` one at a time, one thread", "tasks/s", 7_500, "more"),
        },
        n=10_000,
        quick_n=1_000,
    ),
    _starmap("memory", 100_000, "without persistence"),
    _starmap("process", 80_000, "durability `process`"),
    Measurement(
        "end-to-end",
        end_to_end,
        {
            "rate": Row(
                "end-to-end",
                "20,000 by `starmap` while workers run, until all results are read",
                "tasks/s",
                20_000,
                "more",
            )
        },
        n=20_000,
        quick_n=5_000,
        repetitions=5,
    ),
    Measurement(
        "latency",
        latency,
        {
            "p50": Row("latency-p50", "idle round trip, `delay` to `get`, p50", "ms", 0.45, "less"),
            "p99": Row("latency-p99", "idle round trip, `delay` to `get`, p99", "ms", 1.2, "less"),
        },
        n=3_000,
        quick_n=300,
        repetitions=5,
    ),
    Measurement(
        "killed-child",
        killed_child,
        {
            "slowest": Row(
                "killed-child", "a killed child's message runs again, slowest of 10", "ms", 200, "less"
            )
        },
        n=10,
        quick_n=3,
    ),
    _dead_machine("same-host", other_host=False),
    _dead_machine("other-host", other_host=True),
    Measurement(
        "import",
        imports,
        {
            "package": Row("import-taskmesh", "`import taskmesh`", "ms", 60, "less"),
            "class": Row("import-class", "`from taskmesh import TaskMesh`", "ms", 60, "less"),
        },
        n=20,
        quick_n=5,
        durability="",
    ),
    Measurement(
        "worker-start",
        worker_start,
        {"seconds": Row("worker-start", "worker start to first task", "s", 0.5, "less")},
        n=5,
        quick_n=2,
    ),
    Measurement(
        "idle-child",
        idle_child,
        {"uss": Row("idle-child", "memory of an idle worker child, its own alone (USS)", "MB", 30, "less")},
        n=1_000,
        quick_n=200,
        options={"idle_s": 2.0},
    ),
    Measurement(
        "growth",
        growth,
        {
            "run": Row(
                "growth-run", "time to run a task, 1,000,000 queued / 2,000 queued", "×", 1.15, "less"
            ),
            "send": Row(
                "growth-send",
                "time to send a task, the last / the first tenth of 1,000,000",
                "×",
                1.15,
                "less",
            ),
        },
        n=1_000_000,
        quick_n=20_000,
        repetitions=1,
        options={"few": 2_000, "times_few": 15},
    ),
    Measurement(
        "drain-async",
        pool_drain,
        {"rate": Row("drain-async", "drain of no-op coroutines, 2 event loops", "tasks/s", 25_000, "more")},
        n=100_000,
        quick_n=5_000,
        options={"pool": "async:500"},
    ),
    Measurement(
        "drain-thread",
        pool_drain,
        {"rate": Row("drain-thread", "drain of no-op tasks, 2 × 8 threads", "tasks/s", 9_000, "more")},
        n=100_000,
        quick_n=5_000,
        options={"pool": "thread:8"},
    ),
    Measurement(
        "sleepers",
        sleepers,
        {
            "beyond": Row(
                "sleepers-time", "10,000 coroutines that sleep 5 s at once: time beyond that", "s", 3, "less"
            ),
            "memory": Row("sleepers-memory", "memory of one of 10,000 that sleep", "KiB", 30, "less"),
        },
        n=10_000,
        quick_n=500,
        options={"sleep_s": 5.0},
    ),
    Measurement(
        "retries",
        retries,
        {"rate": Row("retries", "tasks that fail once and are tried again, attempts", "/s", 15_000, "more")},
        n=50_000,
        quick_n=1_000,
    ),
    Measurement(
        "priorities",
        priorities,
        {
            "rate": Row(
                "drain-priorities", "drain of no-op tasks over ten priorities", "tasks/s", 45_000, "more"
            )
        },
        n=200_000,
        quick_n=20_000,
    ),
    Measurement(
        "delayed",
        delayed,
        {
            "send": Row("delayed-send", "`starmap` of 1,000,000 for later", "tasks/s", 80_000, "more"),
            "due": Row(
                "delayed-due",
                "100,000 that are due at one moment, while 1,000,000 wait: until the last has run",
                "tasks/s",
                20_000,
                "more",
            ),
            "memory": Row(
                "delayed-memory", "growth of a worker's memory while 1,000,000 wait", "MB", 10, "less"
            ),
        },
        n=1_000_000,
        quick_n=20_000,
        repetitions=1,
        options={"settle_s": 1.0},
    ),
    *AGREEMENT,
)
