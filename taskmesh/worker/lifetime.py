"""A child's life from the first hook to the last: whether it may begin, when it is old, how it ends.

The same for every kind of child: each calls `begin` and `end`, asks `most` before it claims, and tells what has `ran`.
"""

from __future__ import annotations

import logging

from taskmesh.core.hooks import Await, Hooks, WorkerContext
from taskmesh.worker.age import Age
from taskmesh.worker.options import EXIT_HOOK_FAILED, EXIT_OK, EXIT_RETIRED, ChildOrder
from taskmesh.worker.speaking import Speaking

log = logging.getLogger("taskmesh.worker")


class Lifetime:
    """One child's.

    Attributes:
        exit_code: With what the child ends when it is told to stop, or has told itself.
    """

    def __init__(self, order: ChildOrder, talk: Speaking, hooks: Hooks, await_: Await) -> None:
        """Prepare.

        Args:
            order: What the child was told.
            talk: Its conversation with the node, which is stopped when the child is old.
            hooks: Of the mesh.
            await_: Runs coroutines of hooks.
        """
        self.exit_code = EXIT_OK
        self._order = order
        self._talk = talk
        self._hooks = hooks
        self._await = await_
        self._context = WorkerContext(order.worker, order.queues, order.shown)
        self._age = Age(order.max_tasks, order.max_memory)

    def begin(self) -> bool:
        """Call the hooks of a start, and tell whether the child may live."""
        try:
            self._hooks.start("on_child_start", self._context, self._await)
        except Exception:
            # a hook may raise anything; the supervisor tries again with another child
            log.exception(
                "child %d of worker %s does not start, for a hook failed",
                self._order.shown,
                self._order.worker,
            )
            self.exit_code = EXIT_HOOK_FAILED
            return False
        return True

    def end(self) -> None:
        """Call the hooks of a stop."""
        self._hooks.tell("on_child_stop", self._await, self._context)

    def most(self, wanted: int) -> int:
        """Return how many messages to claim: not more than it may still run."""
        return self._age.most(wanted)

    def ran(self, count: int, now_s: float) -> None:
        """Count tasks that have run; an old child ends after the next commit, to be replaced by a young one.

        Args:
            count: How many.
            now_s: On the monotonic clock.
        """
        self._retire(self._age.ran(count, now_s))

    def heed_growth(self) -> None:
        """End after the next commit if the mesh has more nodes than this child can claim from."""
        if self._talk.is_outgrown:
            self._retire("the mesh has several nodes now, and it claims from one")

    def _retire(self, reason: str) -> None:
        if reason and self.exit_code == EXIT_OK:
            log.info("child %d of worker %s is replaced: %s", self._order.shown, self._order.worker, reason)
            self.exit_code = EXIT_RETIRED
            self._talk.stopping = True
