"""What events tell while somebody watches: how often tasks run and fail, how long they take, what comes in."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from taskmesh.core import event as kinds
from taskmesh.core.event import Event

#: Tasks that are counted; of any more only those that were there first.
TASKS_MAX = 1000
#: Over how many seconds rates are taken.
WINDOW_S = 10.0


@dataclass(slots=True)
class TaskCount:
    """What was heard of one task since the start.

    Attributes:
        name: Of the task.
        runs: That ended.
        failed: Runs that failed, or were to be tried again for an error.
        crashed: Runs whose process died.
        seconds: Of all runs together.
        longest_s: Of the longest.
        error: Kind of the last error.
    """

    name: str
    runs: int = 0
    failed: int = 0
    crashed: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0
    error: str = ""

    @property
    def mean_s(self) -> float:
        """Of one run."""
        return self.seconds / self.runs if self.runs else 0.0

    @property
    def bad(self) -> int:
        """Runs that did not do their work."""
        return self.failed + self.crashed


class Tally:
    """Counts events. One thread adds, another reads: what it reads may be an event behind."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tasks: dict[str, TaskCount] = {}
        self._sent: Counter[str] = Counter()
        self.gaps = 0
        self.leader = ""

    def add(self, event: Event) -> None:
        """Count an event."""
        if event.kind == kinds.GAP:
            self.gaps += 1
        elif event.kind == kinds.LEADER:
            self.leader = event.worker if event.detail.startswith("leads") else ""
        elif event.kind == kinds.SENT:
            self._sent[event.queue] += 1
        elif event.task:
            self._add_run(event)

    def _add_run(self, event: Event) -> None:
        task = self._tasks.get(event.task)
        if task is None:
            if len(self._tasks) >= TASKS_MAX:
                return
            task = self._tasks[event.task] = TaskCount(event.task)
        if event.kind == kinds.CRASHED:
            task.crashed += 1
            task.error = event.detail
        elif event.seconds is not None:
            task.runs += 1
            task.seconds += event.seconds
            task.longest_s = max(task.longest_s, event.seconds)
            if event.kind == kinds.FAILED or (
                event.kind == kinds.RETRIED and "not counted" not in event.detail
            ):
                task.failed += 1
                task.error = event.detail

    def sent(self) -> Counter[str]:
        """Return how many messages were sent to each queue."""
        return Counter(self._sent)

    def tasks(self) -> list[TaskCount]:
        """Return the tasks, those that fail most first, then those that take longest."""
        return sorted(self._tasks.copy().values(), key=lambda task: (-task.bad, -task.mean_s, task.name))


class Rates:
    """How fast counters grow, over the last seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._at: deque[tuple[float, Counter[str]]] = deque()

    def add(self, counts: Counter[str], now_s: float) -> None:
        """Note how far they have come."""
        self._at.append((now_s, counts))
        while len(self._at) > 2 and now_s - self._at[0][0] > WINDOW_S:
            self._at.popleft()

    def of(self, name: str) -> float | None:
        """Return how many a second; None as long as that is not known."""
        if len(self._at) < 2:
            return None
        (first_s, first), (last_s, last) = self._at[0], self._at[-1]
        return max(0, last[name] - first[name]) / (last_s - first_s) if last_s > first_s else None
