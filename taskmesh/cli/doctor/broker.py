"""Checks of the broker, where a mesh has one: whether it lets us in, how many tickets wait there, who hears it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskmesh.app import TaskMesh
from taskmesh.cli.broker_list import BrokerSeen
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


def check_heard(brokers: Sequence[BrokerSeen], *, is_named: bool) -> Iterator[Finding]:
    """Look what workers tell of brokers, of which those may know that this process does not.

    Args:
        brokers: Of which they tell.
        is_named: Whether this process was told of a broker, which is checked apart.
    """
    for broker in brokers:
        if is_named:
            if broker.deaf:
                yield warn(
                    "broker",
                    f"{broker.address} {broker.trouble}",
                    f"look at it from where these workers run; {_MEANWHILE}",
                )
            continue
        text = f"{broker.in_words()}; it was not checked from here, where nobody names it"
        how = "to have it checked, give its address with the password, TASKMESH_BROKER=..., and look again"
        yield warn("broker", text, f"{how}; {_MEANWHILE}") if broker.deaf else ok("broker", text, how)


def _counted(counts: dict[str, int | None]) -> str:
    waiting = [f"{count:,} for {queue}" for queue, count in counts.items() if count]
    return f"tickets wait: {', '.join(waiting)}" if waiting else "no tickets wait"
