"""How a worker is: what its supervisor's loop writes down in passing, and the thread of the probes reads.

Each attribute is set whole, by the loop; the probes read what there is. That a node does not answer, or a child runs
one task for hours, makes no worker dead: to start it anew would mend neither.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.metrics.process_values import stands_still
from taskmesh.metrics.tally import Tally
from taskmesh.replication.reach import Reach
from taskmesh.worker.service import Service

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link
    from taskmesh.worker.brood import Brood
    from taskmesh.worker.options import MeshFacts, WorkerOptions

#: A loop that has not turned for so long hangs. It waits for a node a few seconds at most.
LIVE_S = 30.0
#: A child that was ordered so long ago has a process, unless the template hangs.
ORDER_S = 10.0

IMPORTING, JOINING, WORKING, STOPPING, WAITING = "importing", "joining", "working", "stopping", "waiting"
#: Tasks are given time to finish, and then the app is imported again.
RELOADING = "reloading"


class Vitals:
    """How one worker is.

    Attributes:
        tally: What its children have counted; None where nobody asks.
        phase: What the supervisor is at.
        problem: Why the app cannot be imported, or why a start failed; empty if nothing is known.
        facts: What the template told of the app.
        link: To the mesh.
        brood: The children of this life.
        template_pid: The process that imported the app; 0 if there is none.
        is_registered: Whether the nodes know this life.
        out_since_s: Since when no beat has reached a node; 0 if one has.
        reach: Whether messages can be taken, as far as beats tell.
        leads: Tells whether this process is the leader.
        broker: Whether tickets of the broker are heard; None without a broker.
        broker_problem: Why not.
    """

    def __init__(self, options: WorkerOptions | None = None) -> None:
        """Begin before anything has happened.

        Args:
            options: Of a worker that may be a service of its own; None for one that is not.
        """
        # what another program starts for itself is not the service, though it has inherited its variables
        self._service = Service(os.environ if options is not None and not options.parent else {})
        # a child's first claim is known by what it counts, and a service is ready when its children are
        self.tally: Tally | None = Tally() if self._service.is_heard else None
        self.turned_s = time.monotonic()
        self.phase = IMPORTING
        self.since_s = self.turned_s
        self.problem = ""
        self.facts: MeshFacts | None = None
        self.link: Link | None = None
        self.brood: Brood | None = None
        self.template_pid = 0
        self.is_registered = False
        self.out_since_s = 0.0
        self.reach = Reach()
        self.leads: Callable[[], bool] = lambda: False
        self.broker: bool | None = None
        self.broker_problem = ""

    # -- what the loop says --------------------------------------------------------

    def turned(self) -> None:
        """Say that the loop turns."""
        self.turned_s = time.monotonic()
        if self.phase != STOPPING:
            self._service.turned(self.why_not_ready, self.remarks)

    def knows(self, facts: MeshFacts) -> None:
        """Say that the app was imported."""
        self.facts = facts
        self.problem = ""
        self._expect()

    def counts_with(self, tally: Tally) -> None:
        """Have children that are started from now on be counted."""
        self.tally = tally
        self._expect()

    def _expect(self) -> None:
        if self.tally is not None and self.facts is not None:
            self.tally.expect(self.facts.tasks)

    def begins(self, brood: Brood) -> None:
        """Say that a life of the worker begins, with other children than the last."""
        self.brood = brood
        self.is_registered, self.out_since_s = False, 0.0
        self.enters(WORKING)

    def enters(self, phase: str) -> None:
        """Say what the supervisor is at from now on."""
        if phase != self.phase:
            self.since_s = time.monotonic()
            if phase == STOPPING:
                self._service.stops("running tasks are given time to finish")
        self.phase = phase
        self.turned()

    def reached(self) -> float:
        """Say that a beat has reached a node, and return for how long none had; 0 if the one before did."""
        since_s, self.out_since_s = self.out_since_s, 0.0
        return time.monotonic() - since_s if since_s else 0.0

    def missed(self) -> None:
        """Say that a beat has reached no node."""
        self.out_since_s = self.out_since_s or time.monotonic()

    def hears(self, trouble: str) -> None:
        """Say why the broker is not heard, with an empty text that it is; the thread that listens says so."""
        self.broker_problem, self.broker = trouble, not trouble

    # -- what the probes ask -------------------------------------------------------

    def why_dead(self) -> list[str]:
        """Return why the worker should be started anew."""
        age_s = time.monotonic() - self.turned_s
        if age_s > LIVE_S:
            return [f"the supervisor's loop has not turned for {age_s:.0f} s"]
        pid = self.template_pid
        if pid and self.phase == WORKING and not _exists(pid):
            return [f"the template (process {pid}) is gone"]
        return []

    def remarks(self) -> list[str]:
        """Return what is to be known of a worker that is ready all the same: without its broker, tasks begin later."""
        if self.broker is not False or self.phase != WORKING:
            return []
        return [
            f"no tickets of the broker are heard, so tasks begin up to a second later: {self.broker_problem}"
        ]

    def why_not_ready(self) -> list[str]:
        """Return why the worker runs no tasks now, or few of those that are sent.

        That its broker is away is no reason, for tasks are looked for.
        """
        now_s = time.monotonic()
        since = f", for {now_s - self.since_s:.0f} s"
        reasons = self.why_dead()
        if self.phase == STOPPING:
            return [*reasons, "the worker is told to stop"]
        if self.phase == RELOADING:
            return [*reasons, "running tasks are given time to finish, before the app is imported again"]
        if self.problem:
            reasons.append(self.problem)
        if self.phase == IMPORTING:
            return [*reasons, f"the app is being imported{since}"]
        if self.phase == JOINING:
            return [*reasons, f"the worker waits for a node{since}"]
        if self.phase == WAITING:
            return [*reasons, "the worker waits for a change of its sources"]
        if self.out_since_s:
            reasons.append(f"no node answers, for {now_s - self.out_since_s:.0f} s")
        elif not self.is_registered:
            reasons.append("no node knows the worker yet")
        elif self.reach.why:
            reasons.append(self.reach.why)
        if self.template_pid and stands_still(self.template_pid):
            reasons.append(
                f"the template (process {self.template_pid}) stands still: no child can be started"
            )
        if self.brood is not None:
            reasons += self._of_children(self.brood, now_s)
        return reasons

    def _of_children(self, brood: Brood, now_s: float) -> list[str]:
        children = brood.children()
        living = self.tally.living() if self.tally is not None else set()
        if brood.failed_starts:
            count = "one child" if brood.failed_starts == 1 else f"{brood.failed_starts} children in a row"
            return [f"{count} could not start; the worker's log says why"]
        late = [child for child in children if not child.pid and now_s - child.since_s > ORDER_S]
        if late:
            return [
                f"{len(late)} of {len(children)} children have no process yet: the template does not answer"
            ]
        if not any(child.order.place in living for child in children):
            return [] if brood.is_resting else [f"none of {len(children)} children is ready yet"]
        if all(stands_still(child.pid) for child in children if child.pid):
            return ["all children stand still (SIGSTOP)"]
        return []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
