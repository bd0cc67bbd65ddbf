"""What all children of a worker have counted together, those that are dead as well: no counter ever goes back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from operator import add
from typing import TypeVar

from taskmesh.metrics.bounded import Bounded
from taskmesh.metrics.buckets import BUCKETS
from taskmesh.metrics.exposition import Distribution, Samples
from taskmesh.metrics.sheet import (
    CLAIMED,
    CLAIMS,
    COMMITS,
    ENDS,
    HEADER,
    LEASES_LOST,
    OUTCOMES,
    RETRIES,
    RUN,
    RUN_SUM,
    WAIT,
    WAIT_SUM,
    Sheet,
    expected,
)

N = TypeVar("N", int, float)

#: As what a task is shown whose process died while it ran several.
UNKNOWN = "unknown"


class Tally:
    """Adds up sheets. The supervisor's loop tells who begins and ends, and another thread asks."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._living: dict[int, Sheet] = {}
        self._header = [0] * HEADER
        self._rows: dict[str, list[float]] = {}
        self._crashes: Counter[str] = Counter()
        self._started = self._died = 0
        self._labels = Bounded()

    def expect(self, tasks: Iterable[str]) -> None:
        """Tell the tasks of an app apart from others, as its children do."""
        with self._lock:
            self._labels.prefer(expected(tasks))

    def begin(self, place: int, sheet: Sheet) -> None:
        """Take in that a child begins, on a sheet that is clear."""
        with self._lock:
            self._living[place] = sheet
            self._started += 1

    def end(self, place: int) -> str:
        """Keep what a child has counted that has ended, and return the name of the task that it was running."""
        with self._lock:
            sheet = self._living.pop(place, None)
            if sheet is None:
                return ""
            self._header = _sums(self._header, sheet.header())
            self._fold(self._rows, sheet)
            return sheet.running()

    def end_all(self) -> None:
        """Keep what all have counted: they are ended together."""
        for place in list(self._living):
            self.end(place)

    def died(self, task: str, *, in_task: bool) -> None:
        """Count a death that nobody wanted.

        Args:
            task: What `end` returned.
            in_task: Whether it was in a task.
        """
        with self._lock:
            self._died += 1
            if in_task:
                self._crashes[self._labels.of(task) if task else UNKNOWN] += 1

    def living(self) -> set[int]:
        """Return the places of the children that have begun to claim."""
        with self._lock:
            return {place for place, sheet in self._living.items() if sheet.is_living}

    def put(self, into: Samples) -> None:
        """Add all of it to samples."""
        with self._lock:
            header, rows = self._header, dict(self._rows)
            for sheet in self._living.values():
                header = _sums(header, sheet.header())
                self._fold(rows, sheet)
            crashes, started, died = dict(self._crashes), self._started, self._died
        into.put("taskmesh_worker_children_started_total", started)
        into.put("taskmesh_worker_children_died_total", died)
        into.put("taskmesh_claims_total", header[CLAIMS])
        into.put("taskmesh_claimed_messages_total", header[CLAIMED])
        into.put("taskmesh_leases_lost_total", header[LEASES_LOST])
        for at, outcome in enumerate(OUTCOMES.values()):
            into.put("taskmesh_commits_total", header[COMMITS + at], outcome)
        for task, count in crashes.items():
            into.put("taskmesh_task_crashes_total", count, task)
        for task, row in rows.items():
            _put_row(into, task, row)

    def _fold(self, rows: dict[str, list[float]], sheet: Sheet) -> None:
        for task, row in sheet.rows():
            label = self._labels.of(task)
            known = rows.get(label)
            rows[label] = _sums(known, row) if known is not None else row


def _sums(some: list[N], others: list[N]) -> list[N]:
    """Add up number by number; eight children have some ten thousand to be added for each look."""
    return list(map(add, some, others))


def _put_row(into: Samples, task: str, row: list[float]) -> None:
    for name, at, sum_at in (
        ("taskmesh_task_run_seconds", RUN, RUN_SUM),
        ("taskmesh_task_wait_seconds", WAIT, WAIT_SUM),
    ):
        counts = [int(count) for count in row[at : at + BUCKETS]]
        into.put(name, Distribution(counts, row[sum_at]), task)
    # told as 0 as well, else the first retry of a task would be no increase
    into.put("taskmesh_task_retries_total", row[RETRIES], task)
    for at, outcome in enumerate(OUTCOMES.values()):
        if row[ENDS + at]:
            into.put("taskmesh_task_runs_total", row[ENDS + at], task, outcome)
