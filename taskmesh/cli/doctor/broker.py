"""A check of the broker, where a mesh has one: whether it lets us in, and how many tickets wait there."""

from __future__ import annotations

from collections.abc import Iterator

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.errors import BrokerRefused, BrokerUnavailable
from taskmesh.worker.keepable import queue_of

_MEANWHILE = "meanwhile nothing is lost: workers look by themselves, so tasks begin up to some seconds later"


def check_broker(mesh: TaskMesh) -> Iterator[Finding]:
    """Connect to the broker, and count; no queue is made.

    Args:
        mesh: Which.
    """
    try:
        broker = mesh.broker
        if broker is None:
            return
        broker.check()
        queues = sorted({mesh.settings.default_queue, *(queue_of(mesh, name) for name in mesh.tasks)})
        counts = {queue: broker.waiting(queue) for queue in queues}
    except BrokerRefused as error:
        what, _, remedy = str(error).rpartition("; ")
        yield fail("broker", what or remedy, f"{remedy}; {_MEANWHILE}")
    except BrokerUnavailable as error:
        yield warn("broker", str(error), f"start it, or look at its log; {_MEANWHILE}")
    else:
        yield ok("broker", f"{broker.shown}; {_counted(counts)}")


def _counted(counts: dict[str, int | None]) -> str:
    waiting = [f"{count:,} for {queue}" for queue, count in counts.items() if count]
    return f"tickets wait: {', '.join(waiting)}" if waiting else "no tickets wait"
