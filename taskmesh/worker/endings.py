"""Ends what children run: beyond their hard limit, or because somebody revoked it with terminate.

The page says what a child runs, and the child goes on while it is read. So two flags are set before it is read once
more: the claim is recalled, so that the child begins nothing further of it, and it is condemned, so that the child does
not go beyond it. What the page says after that is true until the child has been killed, or the flag taken back.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping
from math import inf

from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import held, recall
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S, ChildOrder
from taskmesh.worker.page import NOTHING, Page
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.pools import PROCESS
from taskmesh.worker.sentence import Sentence, overdue, terminated
from taskmesh.worker.termination import Termination

log = logging.getLogger("taskmesh.worker")

#: A child that was told to end by another signal than KILL has so long.
TERMINATE_GRACE_S = 2.0
#: How long to leave a node alone that did not say what a child holds.
ASK_AGAIN_S = 0.3


class KnownChild:
    """A child as its supervisor knows it.

    Attributes:
        order: What it was told when it started.
        pid: Its process; 0 as long as that is not known.
        since_s: When it was ordered.
        recalled: The claim that was recalled last.
        sentence: What it is being ended for.
        is_dismissed: Whether it is one too many, and told to stop.
        kill_at_s: When it is killed if it has not ended by then.
    """

    __slots__ = ("is_dismissed", "kill_at_s", "order", "pid", "recalled", "sentence", "since_s")

    def __init__(self, order: ChildOrder) -> None:
        self.order = order
        self.pid = 0
        self.since_s = time.monotonic()
        self.recalled = -1
        self.sentence: Sentence | None = None
        self.kill_at_s = inf
        self.is_dismissed = False


class Endings:
    """Ends what the children of one life run."""

    def __init__(self, link: Link, page: Page, children: Mapping[int, KnownChild], worker: str) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            page: Shared with the children.
            children: Those that live, by number; the brood's own.
            worker: Name of the worker.
        """
        self._link = link
        self._page = page
        self._children = children
        self._worker = worker
        self._orders: list[Termination] = []
        self._ask_at_s = 0.0

    def next_s(self) -> float:
        """Return when `look` is needed next, on the monotonic clock; infinity if nothing is to come."""
        next_s = self._ask_at_s if self._orders else inf
        for child in self._children.values():
            until_s = child.kill_at_s
            if child.sentence is None:
                until_s = self._page.deadline(child.order.place).until_s or inf
            next_s = min(next_s, until_s)
        return next_s

    def look(self, now_s: float) -> None:
        """End what is overdue, carry out orders, and kill those that did not end when they were told to."""
        for child in self._children.values():
            if child.sentence is not None:
                if now_s >= child.kill_at_s:
                    child.kill_at_s = inf
                    send_signal(child.pid, signal.SIGKILL)
            elif child.pid:
                self._end_overdue(child, now_s)
        if self._orders and now_s >= self._ask_at_s:
            self._carry_out()

    # -- hard limits --------------------------------------------------------------

    def _end_overdue(self, child: KnownChild, now_s: float) -> None:
        place = child.order.place
        deadline = self._page.deadline(place)
        if not 0 < deadline.until_s <= now_s:
            return
        self._condemn(child, deadline.sequence)
        if self._page.deadline(place) != deadline:
            self._page.set_condemned(place, -1)
            return
        log.warning(
            "worker %s ends child %d: its task has run longer than its time_limit of %g s",
            self._worker,
            child.order.shown,
            deadline.limit_s,
        )
        child.sentence = overdue(deadline)
        send_signal(child.pid, signal.SIGKILL)

    def _condemn(self, child: KnownChild, sequence: int) -> None:
        """Have a child begin nothing more of a claim, and not go beyond it."""
        place = child.order.place
        child.recalled = sequence
        self._page.set_recalled(place, sequence)
        self._page.set_condemned(place, sequence)

    # -- orders -------------------------------------------------------------------

    def terminate(self, order: Termination) -> None:
        """Have a run ended; one that is over, or not of this worker, is left alone."""
        self._orders.append(order)
        self._ask_at_s = 0.0

    def _carry_out(self) -> None:
        orders, self._orders = self._orders, []
        for order in orders:
            try:
                done = self._end_run(order)
            except NodeUnavailable as error:
                log.warning("task %s cannot be terminated yet: %s", order.task_id, error)
                done = False
            except NodeFault:
                log.exception("task %s cannot be terminated", order.task_id)
                done = True
            if not done:
                self._orders.append(order)
                self._ask_at_s = time.monotonic() + ASK_AGAIN_S

    def _end_run(self, order: Termination) -> bool:
        """End a run, or have the message taken back if it has not begun; tell whether that is dealt with."""
        child = next((one for one in self._children.values() if one.order.holder == order.holder), None)
        if child is None or child.sentence is not None:
            return True  # what it holds is put back, and this message ends by that
        if child.order.pool != PROCESS:
            log.warning(
                "task %s was revoked by %s and goes on: pools of kind %s cannot end one of many; it may look at "
                "current_task().revoked",
                order.task_id,
                order.sender,
                child.order.pool,
            )
            return True
        if not child.pid:
            return False
        position = self._position(order)
        if not position:
            return True
        place = child.order.place
        self._condemn(child, order.sequence)
        note = self._page.read(place)
        if (note.sequence, note.position) == (order.sequence, position):
            log.warning(
                "worker %s ends child %d by %s: its task %s was revoked by %s",
                self._worker,
                child.order.shown,
                order.signal.name,
                order.task_id,
                order.sender,
            )
            child.sentence = terminated(order.sequence, position, order.signal.name, order.sender)
            if order.signal is not signal.SIGKILL:
                child.kill_at_s = time.monotonic() + TERMINATE_GRACE_S
            send_signal(child.pid, order.signal)
            return True
        self._page.set_condemned(place, -1)
        if note.sequence == order.sequence and NOTHING < note.position < position:
            # it waits behind another; where the child has not begun with the claim, it gives all of it back itself
            steps = recall(self._link.session, order.holder, note.sequence, note.position)
            run_patiently(self._link, steps, SUPERVISOR_PATIENCE_S)
        return True

    def _position(self, order: Termination) -> int:
        """Return where a message stands in the claim under which it is held, from 1; 0 if it is not any more."""
        steps = held(self._link.session, order.holder)
        for sequence, position, task_id, head in run_patiently(self._link, steps, SUPERVISOR_PATIENCE_S):
            if sequence == order.sequence and task_id == order.task_id and head[2:52] == order.token.encode():
                return position
        return 0


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a child, which may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # the nursery is about to say so
