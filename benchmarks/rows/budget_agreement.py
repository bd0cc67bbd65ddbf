"""The part of the budget that is about agreement: registers, locks, the leader, schedules."""

from __future__ import annotations

from benchmarks.rows.agreed import agreed_change, lock, lock_handover
from benchmarks.rows.leading import idle_mesh, leader_failover, leader_handover, schedules
from benchmarks.rows.model import Measurement, Row

_THREE = "three acceptors that fsync always"

AGREEMENT: tuple[Measurement, ...] = (
    Measurement(
        "agreed-change",
        agreed_change,
        {
            "p50": Row("agreed-change-p50", f"one agreed change, {_THREE}, p50", "ms", 2, "less"),
            "p99": Row("agreed-change-p99", f"one agreed change, {_THREE}, p99", "ms", 8, "less"),
            "sticky-p50": Row(
                "agreed-change-sticky-p50",
                "the same by who changed it last (one phase), p50",
                "ms",
                1,
                "less",
            ),
            "sticky-p99": Row(
                "agreed-change-sticky-p99",
                "the same by who changed it last (one phase), p99",
                "ms",
                6,
                "less",
            ),
        },
        n=3_000,
        quick_n=200,
    ),
    Measurement(
        "lock",
        lock,
        {
            "p50": Row("lock-p50", f"acquire and release a free lock, {_THREE}, p50", "ms", 6, "less"),
            "p99": Row("lock-p99", f"acquire and release a free lock, {_THREE}, p99", "ms", 16, "less"),
        },
        n=1_000,
        quick_n=100,
    ),
    Measurement(
        "lock-handover",
        lock_handover,
        {
            "p50": Row(
                "lock-handover-p50",
                "release until another process, which waits, has it, p50",
                "ms",
                12,
                "less",
            ),
            "p99": Row(
                "lock-handover-p99",
                "release until another process, which waits, has it, p99",
                "ms",
                40,
                "less",
            ),
        },
        n=300,
        quick_n=20,
    ),
    Measurement(
        "idle-mesh",
        idle_mesh,
        {
            "candidates": Row(
                "idle-mesh",
                "an idle node with one worker of two processes, a candidate",
                "commands/s",
                60,  # a child learns of what operators set within a second
                "less",
            ),
            "without": Row("idle-mesh-workers", "the same with --no-scheduler", "commands/s", 36, "less"),
        },
        n=1,
        quick_n=1,
        repetitions=2,
        options={"settle_s": 5.0, "idle_s": 20.0},
    ),
    Measurement(
        "leader-failover",
        leader_failover,
        {
            "p99": Row(
                "leader-failover", f"a killed leader: until another acts, {_THREE}, p99", "s", 8, "less"
            )
        },
        n=20,
        quick_n=2,
        repetitions=1,
        options={"settle_s": 2.0, "candidates": 3},
    ),
    Measurement(
        "leader-handover",
        leader_handover,
        {
            "p99": Row(
                "leader-handover",
                f"a leader that is asked to end: until another acts, {_THREE}, p99",
                "s",
                0.5,
                "less",
            )
        },
        n=20,
        quick_n=2,
        repetitions=1,
        options={"candidates": 3},
    ),
    Measurement(
        "schedules",
        schedules,
        {
            "rate": Row(
                "schedules", "10,000 schedules, each every 10 s: firings that run", "tasks/s", 995, "more"
            ),
            "late": Row(
                "schedules-late", "the same: from the nominal moment until it runs, p99", "ms", 500, "less"
            ),
        },
        n=10_000,
        quick_n=300,
        repetitions=1,
        durability="process",
        options={"settle_s": 10.0, "idle_s": 20.0},
    ),
)
