"""What a child is given to live: when it is old, and with which exit code it then ends.

The same for every kind of child; each asks `most` before it claims, and tells of what has `ran`.
"""

from __future__ import annotations

import logging

from taskmesh.worker.age import Age
from taskmesh.worker.conversation import Conversation
from taskmesh.worker.options import EXIT_OK, EXIT_RETIRED, ChildOrder

log = logging.getLogger("taskmesh.worker")


class Lifetime:
    """One child's.

    Attributes:
        exit_code: With what the child ends when it is told to stop, or has told itself.
    """

    def __init__(self, order: ChildOrder, talk: Conversation) -> None:
        """Prepare.

        Args:
            order: What the child was told.
            talk: Its conversation with the node, which is stopped when the child is old.
        """
        self.exit_code = EXIT_OK
        self._order = order
        self._talk = talk
        self._age = Age(order.max_tasks, order.max_memory)

    def most(self, wanted: int) -> int:
        """Return how many messages to claim: not more than it may still run."""
        return self._age.most(wanted)

    def ran(self, count: int, now_s: float) -> None:
        """Count tasks that have run; an old child ends after the next commit, to be replaced by a young one.

        Args:
            count: How many.
            now_s: On the monotonic clock.
        """
        reason = self._age.ran(count, now_s)
        if reason and self.exit_code == EXIT_OK:
            log.info(
                "child %d of worker %s is replaced: %s", self._order.number, self._order.worker, reason
            )
            self.exit_code = EXIT_RETIRED
            self._talk.stopping = True
