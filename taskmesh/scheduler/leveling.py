"""The leader has the copies of all slots be level: some at a look, all of them twice a minute and after each change.

Once that is so, what was final for long may be forgotten, and what a node keeps no more is dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from taskmesh.core.steps import GroupSteps
from taskmesh.nodes.node_watch import NodeWatch
from taskmesh.replication.level import drop_unheld, level, mark_level, prune

if TYPE_CHECKING:
    from taskmesh.replication.standing import Standing
    from taskmesh.replication.view import View

T = TypeVar("T")
log = logging.getLogger("taskmesh.scheduler")
#: How often the copies of all slots are compared, and how many slots at a look.
LEVEL_S = 30.0
SLOTS_AT_ONCE = 64


class Leveling:
    """Compares copies, a few slots at a time."""

    def __init__(self, watch: NodeWatch, standing: Callable[[], Standing], now_ms: Callable[[], int]) -> None:
        """Prepare.

        Args:
            watch: What is seen of the nodes, and the way to them.
            standing: Returns the view, as this process knows it.
            now_ms: The nodes' clock.
        """
        self._watch = watch
        self._standing = standing
        self._now_ms = now_ms
        self._left: list[int] = []
        self._at_s = time.monotonic() + LEVEL_S
        self._from_ms = 0
        self._missed = False
        self._view = 0
        self._dropped_view = 0

    def soon(self) -> None:
        """Have all copies be compared from now on."""
        self._at_s = time.monotonic()

    def look(self, view: View) -> None:
        """Compare the copies of some slots, and have them be level, if it is time to.

        Args:
            view: The active one.
        """
        now_s = time.monotonic()
        if self._view != view.number:
            self._left, self._view = [], view.number
            self._at_s = min(self._at_s, now_s)
        if not self._left:
            if now_s < self._at_s:
                return
            self._left = list(range(view.slots))
            self._from_ms, self._missed = self._now_ms(), False
            self._at_s = now_s + LEVEL_S
        some, self._left = self._left[:SLOTS_AT_ONCE], self._left[SLOTS_AT_ONCE:]
        found = self._run(level(self._standing(), some))
        self._missed = self._missed or bool(found.missed)
        if found.copied or found.removed:
            log.info("nodes: %d copies were made level, %d removed", found.copied, found.removed)
        if not self._left and not self._missed:
            self._run(mark_level(self._standing(), view, self._from_ms))
            if self._dropped_view != view.number:
                self._drop_unheld(view)

    def _drop_unheld(self, view: View) -> None:
        """Remove what nodes have of slots that they keep, or lead, no more, now that all who keep them are level."""
        self._dropped_view = view.number
        for member in view.members:
            stand = self._watch.seen.get(member.id)
            if stand is None or stand.epoch != view.epoch:
                continue
            held = set(view.held_by(member.id))
            slots = [slot for slot in range(view.slots) if slot not in held]
            removed = 0
            for at in range(0, len(slots), SLOTS_AT_ONCE):
                removed += self._run(
                    drop_unheld(self._standing(), view, member.id, slots[at : at + SLOTS_AT_ONCE])
                )
            if removed:
                log.info("nodes: %d copies were dropped that %s keeps no more", removed, member.id)
            pruned = self._run(prune(self._standing(), view, member.id))
            if pruned:
                log.info("nodes: %s listed %d messages no more that others lead", member.id, pruned)

    def _run(self, steps: GroupSteps[T]) -> T:
        """Compare or copy, with those only that the view admitted: a primary that came back may have forgotten."""
        return self._watch.admitted.run(steps)
