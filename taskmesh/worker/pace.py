"""How much a child claims, and which tasks are tiny: both learnt from how long tasks take."""

from __future__ import annotations

#: A claim should hold about so much work.
WORK_S = 0.02
CLAIM_MAX = 200
#: A task is tiny when its p99 is below this.
TINY_S = 0.001
#: The share of slow runs, as a moving average over some hundred runs, below which a task is tiny.
SLOW_SHARE = 0.02
MEMORY = 0.01
#: A claim holds about so many bytes at most.
CLAIM_BYTES = 4 << 20


class Pace:
    """Learns from the runs of one child."""

    def __init__(self, claim_max: int = CLAIM_MAX) -> None:
        """Start cautiously: one message, and no task is tiny until it has shown so.

        Args:
            claim_max: How many messages to claim at most, however fast they are.
        """
        self._claim_max = claim_max
        self._mean_s = WORK_S
        self._mean_bytes = 1000.0
        self._most = 1
        self._slow: dict[str, float] = {}

    def most(self) -> int:
        """Return how many messages to claim."""
        return self._most

    def claimed(self, count: int, size: int) -> None:
        """Learn how large messages are."""
        self._mean_bytes += (size / count - self._mean_bytes) * 0.3

    def ran(self, count: int, seconds: float) -> None:
        """Learn from a finished claim how long messages take, everything included."""
        self._mean_s += (seconds / count - self._mean_s) * 0.5
        fitting = int(min(WORK_S / max(self._mean_s, 1e-6), CLAIM_BYTES / self._mean_bytes))
        self._most = max(1, min(fitting, self._claim_max, self._most * 8))

    def slow(self) -> None:
        """Learn that messages had to be recalled: claim one at a time until they are fast again."""
        self._mean_s = WORK_S
        self._most = 1

    def note(self, task: str, seconds: float) -> None:
        """Learn how long one run took."""
        slow = self._slow
        share = slow.get(task, 0.05)
        slow[task] = share + ((1.0 if seconds >= TINY_S else 0.0) - share) * MEMORY
        if len(slow) > 10_000:
            slow.clear()

    def is_tiny(self, task: str) -> bool:
        """Tell whether a task is so short that outcomes may wait for its end."""
        return self._slow.get(task, 1.0) < SLOW_SHARE
