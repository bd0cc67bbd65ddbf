"""The peers: how each is run, and how many tasks it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MEASURES = ("enqueue", "drain", "e2e", "latency", "footprint")
#: How many tasks a measure takes, before a variant's own share.
SIZES = {"enqueue": 10_000, "drain": 20_000, "e2e": 20_000, "latency": 500, "footprint": 1}
#: What the share of a variant applies to: the rest takes no time.
SHARED = ("enqueue", "drain", "e2e")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of running one peer.

    Attributes:
        name: In tables.
        peer: Its environment and its adapter.
        note: How it is run, for people.
        share: Of the tasks of `SIZES`, so that the slow end in time and the fast run long enough.
        measures: Which are taken.
        options: For the adapter.
    """

    name: str
    peer: str
    note: str
    share: float = 1.0
    measures: tuple[str, ...] = MEASURES
    options: dict[str, Any] = field(default_factory=dict)

    def size(self, measure: str, n: int | None) -> int:
        """Return how many tasks a measure takes."""
        if n is not None:
            return n
        return max(1, int(SIZES[measure] * (self.share if measure in SHARED else 1)))


VARIANTS: tuple[Variant, ...] = (
    Variant("TaskMesh", "taskmesh", "2 worker processes; every message signed, kept until done", share=5),
    Variant(
        "TaskMesh, async",
        "taskmesh",
        "2 workers, each an event loop with 500 at once, async task",
        share=2,
        measures=("drain", "e2e", "latency"),
        options={"pool": "async:500"},
    ),
    Variant(
        "TaskMesh, threads",
        "taskmesh",
        "2 workers of 8 threads",
        share=2,
        measures=("drain", "e2e", "latency"),
        options={"pool": "thread:8"},
    ),
    Variant("Celery", "celery", "prefork pool of 2, JSON", share=0.25),
    Variant(
        "Celery, threads",
        "celery",
        "thread pool of 2, JSON",
        share=0.25,
        measures=("drain", "e2e", "latency"),
        options={"pool": "threads"},
    ),
    Variant("Dramatiq", "dramatiq", "2 processes of 8 threads"),
    Variant("Huey", "huey", "2 worker processes; a task is lost when its worker is killed"),
    Variant(
        "Huey, notify_result",
        "huey",
        "the caller blocks instead of polling",
        measures=("latency",),
        options={"notify": True},
    ),
    Variant(
        "Taskiq",
        "taskiq",
        "ListQueueBroker, 2 processes, async task; a task is lost when its worker is killed",
    ),
    Variant(
        "RQ, SimpleWorker",
        "rq",
        "pool of 2 that do not fork per job",
        share=0.25,
        options={"worker": "rq.worker.SimpleWorker"},
    ),
    Variant(
        "RQ",
        "rq",
        "pool of 2, a fork per job (its default)",
        share=0.05,
        options={"worker": "rq.worker.Worker"},
    ),
    Variant("arq", "arq", "2 processes, async task, max_jobs 100", share=0.25),
    Variant("SAQ", "saq", "2 processes, async task"),
    Variant(
        "taskito, SQLite",
        "taskito",
        "prefork pool of 2, its database in memory (/dev/shm), scheduler_batch_size 100",
        share=0.25,
        options={"backend": "sqlite", "batch": 100},
    ),
    Variant(
        "taskito, Redis",
        "taskito",
        "prefork pool of 2, on the common server, scheduler_batch_size 100",
        share=0.1,
        options={"backend": "redis", "batch": 100},
    ),
)


def find(words: list[str]) -> list[Variant]:
    """Return the variants whose name or peer is among the words, in any case; all if there are none.

    Raises:
        KeyError: A word names nothing.
    """
    lowered = [word.lower() for word in words]
    for word in lowered:
        if not any(word in (item.name.lower(), item.peer) for item in VARIANTS):
            raise KeyError(word)
    return [item for item in VARIANTS if not lowered or item.name.lower() in lowered or item.peer in lowered]
