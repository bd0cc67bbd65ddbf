"""What operators do with a mesh from Python: workers, queues, limits of tasks; and following what happens."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from taskmesh.app.wiring import Wiring
from taskmesh.client.options import check_limit, check_weight
from taskmesh.core.lines import check_queue
from taskmesh.core.naming import check_task_name

if TYPE_CHECKING:
    from taskmesh.client.events import Events
    from taskmesh.client.inspect import Inspection
    from taskmesh.client.mesh_nodes import MeshNodes
    from taskmesh.client.task import Task
    from taskmesh.nodes.operator_settings import OperatorSettings
    from taskmesh.queue.setting import Operated


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

    def events(self, kinds: Collection[str] = (), *, task: str = "", queue: str = "") -> Events:
        """Return what happens from now on, as it happens: `for event in mesh.events()`, or `async for`.

        It is for people and their tools: events are not signed, and where this process reads too slowly, or a node is
        away, some are lost, which a `gap` tells. While nobody listens nothing is told, and that costs nothing.

        Args:
            kinds: Which, such as `["failed", "crashed"]`; none for all.
            task: A pattern for names of tasks, such as `"shop.*"`; empty for all.
            queue: Name of a queue; empty for all.

        Raises:
            UsageError: There is no such kind.
            NodeUnavailable: No node can be reached.
        """
        from taskmesh.client.events import Events

        return Events(lambda: self.link, kinds, task=task, queue=queue)

    # -- nodes --------------------------------------------------------------------

    @property
    def nodes(self) -> MeshNodes:
        """The nodes of this mesh: `mesh.nodes.add("redis://10.0.0.4:6379")`, where it has several."""
        from taskmesh.client.mesh_nodes import MeshNodes

        return MeshNodes(self.agreement, self.settings.durability)

    # -- queues -------------------------------------------------------------------

    def pause_queue(self, name: str) -> bool:
        """Pause a queue: from now on nothing of it is begun, by any worker; tell whether it went on before.

        All agree upon it, until `resume_queue`. Messages go on being accepted; delayed ones become ready and
        wait. What runs already goes on, and what a worker has just taken may still begin, within a second.
        """
        return self._operator_settings().set_paused(check_queue(name), paused=True)

    def resume_queue(self, name: str) -> bool:
        """Let a paused queue go on, and tell whether it was paused."""
        return self._operator_settings().set_paused(check_queue(name), paused=False)

    def _operator_settings(self) -> OperatorSettings:
        from taskmesh.nodes.operator_settings import OperatorSettings

        return OperatorSettings(self.agreement)

    def paused_queues(self) -> list[str]:
        """Return the names of the queues that are paused."""
        from taskmesh.queue.pause import paused_queues

        return self.link.ask(lambda _: paused_queues(self.link.session))

    def set_queue_weight(self, name: str, weight: int) -> bool:
        """Have a queue weigh so much beside the others of each worker, and tell whether that changed anything.

        All agree upon it, until `reset_queue_weight`, and it counts within a second, also where workers were started
        with another weight (`-Q mail=3`). Workers whose strategy is the default go by weights as long as one of their
        queues has one; other strategies than that and `weighted` read none.

        Args:
            name: Of the queue.
            weight: A whole number from 1 to 1000; a queue without one weighs 1.
        """
        return self._operator_settings().set_weight(check_queue(name), check_weight(weight))

    def reset_queue_weight(self, name: str) -> bool:
        """Have a queue weigh what workers were started with again, and tell whether it had a weight of its own."""
        return self._operator_settings().set_weight(check_queue(name), 0)

    def queue_weights(self) -> dict[str, int]:
        """Return the weights that `set_queue_weight` has set, by queue."""
        return dict(self._operated().weights)

    # -- tasks --------------------------------------------------------------------

    def set_rate_limit(self, task: Task[..., Any] | str, limit: str | int) -> bool:
        """Have a task start no more often than this, by all workers together; tell whether that changed anything.

        It holds instead of the `rate_limit=` in the code, until `reset_rate_limit`. All agree upon it, and it counts
        within a second; messages that wait by the limit of before wait by this one.

        Args:
            task: The task, or its name.
            limit: A text such as `"100/s"`, `"10/m"` or `"5/h"`; a number is per second; `"none"` for no limit.
        """
        return self._operator_settings().set_rate_limit(_task_name(task), check_limit(limit))

    def reset_rate_limit(self, task: Task[..., Any] | str) -> bool:
        """Have a task start as often as the code says again, and tell whether it had another limit."""
        return self._operator_settings().set_rate_limit(_task_name(task), "")

    def rate_limits(self) -> dict[str, str]:
        """Return the limits that `set_rate_limit` has set, by task: a text, `"none"` for no limit."""
        return dict(self._operated().rate_limits)

    def _operated(self) -> Operated:
        from taskmesh.queue.setting import operated

        return self.link.ask(lambda _: operated(self.link.session))


def _task_name(task: Task[..., Any] | str) -> str:
    name = task if isinstance(task, str) else task.name
    check_task_name(name)
    return name
