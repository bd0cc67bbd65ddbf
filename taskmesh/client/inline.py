"""Outcomes of what ran inline: what a node is to the others, in the memory of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.codec.outcome import Outcome

#: Outcomes kept; the oldest go first.
KEPT_MAX = 10_000


class Inline:
    """The outcomes of an eager mesh by id, so that `mesh.result(id)` and a repeated `task_id` mean the same there."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()
        self._lock = threading.RLock()

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        with self._lock:
            self._outcomes[outcome.id] = outcome
            while len(self._outcomes) > KEPT_MAX:
                self._outcomes.popitem(last=False)

    def find(self, task_id: str) -> Outcome | None:
        """Return the outcome of an id that ran here."""
        return self._outcomes.get(task_id)

    def forget(self, handle: AsyncResult[Any]) -> None:
        """Drop the outcome of a handle."""
        with self._lock:
            self._outcomes.pop(handle.id, None)
        handle.outcome = None
        handle.set_missing(expired=True)
