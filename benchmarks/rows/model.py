"""What a row is, and what a measurement is given and gives."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks.harness import stamps
from benchmarks.harness.processes import Workers

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure and its budget.

    Attributes:
        name: For `--only` and the files.
        what: In words.
        unit: Of the value.
        budget: What the value should reach.
        better: Whether it should be `more` or `less`.
    """

    name: str
    what: str
    unit: str
    budget: float
    better: Literal["more", "less"]

    def met(self, value: float) -> bool:
        """Whether a value is within the budget."""
        return value >= self.budget if self.better == "more" else value <= self.budget


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way of measuring, which gives the values of one or several rows.

    Attributes:
        name: For `--only`.
        measure: Does it, once, in a process of its own.
        rows: By the name of the value in what `measure` returns.
        n: How many tasks (or samples).
        quick_n: The same for `--quick`.
        repetitions: How often by default.
        durability: Of the server's data; empty where no server is needed.
        options: For `measure`.
    """

    name: str
    measure: Callable[[Run], Measured]
    rows: dict[str, Row]
    n: int
    quick_n: int
    repetitions: int = 3
    durability: str = "memory"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one repetition found.

    Attributes:
        values: By the names in `Measurement.rows`.
        detail: Further figures, for the file.
        skipped: Why it could not be measured here; empty if it was.
    """

    values: dict[str, float] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One repetition, as the measuring process sees it.

    Attributes:
        n: How many tasks.
        workers: How many worker processes.
        url: The server; empty if none.
        log: Where workers write.
        options: Of the measurement.
    """

    n: int
    workers: int
    url: str
    log: Path
    options: dict[str, Any]

    def worker_command(self, *more: str) -> list[str]:
        """Return the command of a worker of the app."""
        return [
            *(sys.executable, "-m", "taskmesh", "worker", "benchmarks.app:mesh"),
            *("-c", str(self.workers), "-l", "WARNING", *more),
        ]

    def start_workers(self, *commands: list[str]) -> Workers:
        """Start workers; one with the plain command if none is given."""
        return Workers(list(commands) or [self.worker_command()], cwd=ROOT, log=self.log)


def wait_for(
    condition: Callable[[], T | None],
    what: str,
    *,
    workers: Workers | None = None,
    timeout_s: float = START_S,
) -> T:
    """Poll a condition, and return what it comes to.

    Raises:
        TimeoutError: It did not come true in time.
        RuntimeError: The workers ended.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if workers is not None and not workers.alive():
            raise RuntimeError(f"a worker command has ended while waiting for {what}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.005)
    return found


def wait_for_count(n: int, workers: Workers, timeout_s: float = 300.0) -> None:
    """Wait until so many tasks have run."""
    wait_for(lambda: stamps.count() >= n, f"{n} executions", workers=workers, timeout_s=timeout_s)
