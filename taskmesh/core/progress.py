"""How far a running task is, as it tells and as its callers see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running task is.

    Attributes:
        done: How much is done, in the task's own measure.
        total: How much there is to do; None if the task did not say.
        note: What it is at, in words; "" if the task did not say.
    """

    done: float
    total: float | None = None
    note: str = ""

    @property
    def fraction(self) -> float | None:
        """The share that is done, from 0 to 1; None without a total."""
        if not self.total or self.total < 0:
            return None
        return min(1.0, max(0.0, self.done / self.total))
