"""When a child has lived long enough: after so many tasks, or when it has come to hold so much memory.

What leaks, in tasks or in the libraries that they use, is given back to the machine by ending the process.
"""

from __future__ import annotations

from collections.abc import Callable

#: Reading what a process holds takes a good part of a millisecond, and more for large ones.
LOOK_S = 1.0


def private_bytes() -> int:
    """Return what would be free if this process ended: pages that it shares with its template do not count."""
    import psutil

    held: int = psutil.Process().memory_full_info().uss
    return held


class Age:
    """How old a child is, as its limits see it."""

    def __init__(
        self, tasks_max: int, memory_bytes_max: int, held: Callable[[], int] = private_bytes
    ) -> None:
        """Begin at birth.

        Args:
            tasks_max: After so many it is old; 0 for no limit.
            memory_bytes_max: With so much private memory it is old; 0 for no limit.
            held: Returns the private memory of this process, in bytes.
        """
        self._tasks_max = tasks_max
        self._memory_bytes_max = memory_bytes_max
        self._held = held
        self._tasks = 0
        self._look_at_s = 0.0

    def most(self, wanted: int) -> int:
        """Return how many messages to claim, so that none has to be given back for age."""
        return min(wanted, self._tasks_max - self._tasks) if self._tasks_max else wanted

    def ran(self, count: int, now_s: float) -> str:
        """Count tasks that have run, and return why the child is old now; empty while it is not.

        Args:
            count: How many.
            now_s: On the monotonic clock.
        """
        if self._tasks_max:
            self._tasks += count
            if self._tasks >= self._tasks_max:
                return f"it has run {self._tasks} tasks (max_tasks_per_child)"
        if self._memory_bytes_max and now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_S
            held = self._held()
            if held > self._memory_bytes_max:
                return (
                    f"its private memory is {held / 1e6:.1f} MB, and max_memory_per_child is "
                    f"{self._memory_bytes_max / 1e6:.1f} MB"
                )
        return ""
