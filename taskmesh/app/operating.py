"""What operators do with a mesh from Python: look at workers and stop them, pause queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.app.wiring import Wiring
from taskmesh.core.lines import check_queue

if TYPE_CHECKING:
    from taskmesh.client.inspect import Inspection
    from taskmesh.nodes.queue_settings import QueueSettings


class Operating(Wiring):
    """What a mesh offers to whoever operates it."""

    # -- workers ------------------------------------------------------------------

    def stop_workers(self, *names: str) -> list[str]:
        """Tell workers anywhere to stop as by a first SIGTERM, and return the names of those that are told.

        They read it with their next heartbeat, finish what runs and return the rest.

        Args:
            names: Which workers; none for all of the mesh.

        Raises:
            UsageError: No live worker has one of the names.
        """
        from taskmesh.client.orders import stop_workers

        return stop_workers(self.portal, names)

    def inspect(self, *workers: str, limit: int = 50) -> Inspection:
        """Return a look at what workers do, all or those named; at most `limit` messages of each are shown."""
        from taskmesh.client.inspect import Inspection

        return Inspection(self.link, workers, limit=limit)

    # -- queues -------------------------------------------------------------------

    def pause_queue(self, name: str) -> bool:
        """Pause a queue: from now on nothing of it is begun, by any worker; tell whether it went on before.

        All agree upon it, until `resume_queue`. Messages go on being accepted; delayed ones become ready and
        wait. What runs already goes on, and what a worker has just taken may still begin, within a second.
        """
        return self._queue_settings().set_paused(check_queue(name), paused=True)

    def resume_queue(self, name: str) -> bool:
        """Let a paused queue go on, and tell whether it was paused."""
        return self._queue_settings().set_paused(check_queue(name), paused=False)

    def _queue_settings(self) -> QueueSettings:
        from taskmesh.nodes.queue_settings import QueueSettings

        return QueueSettings(self.agreement)

    def paused_queues(self) -> list[str]:
        """Return the names of the queues that are paused."""
        from taskmesh.queue.pause import paused_queues

        return self.link.ask(lambda _: paused_queues(self.link.session))
