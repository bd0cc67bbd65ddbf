"""Ends what children run: beyond their hard limit, or because somebody revoked it with terminate.

A child that runs many messages at once is told first, and ended only if that does not help: see `calling_off.py`.

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
from dataclasses import dataclass, replace
from math import inf

from taskmesh.core.claim_names import node_of, sequence_of
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import ELSEWHERE, recall
from taskmesh.worker.calling_off import CallingOff
from taskmesh.worker.every_node import held_everywhere, link_of, wake_children, within_s
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S, ChildOrder
from taskmesh.worker.page import NOTHING, Deadline, Page, name_of
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
        calling_off: What it was told to call off, if it runs many messages at once.
        is_dismissed: Whether it is one too many, and told to stop.
        kill_at_s: When it is killed if it has not ended by then.
    """

    __slots__ = (
        "calling_off",
        "is_dismissed",
        "kill_at_s",
        "order",
        "pid",
        "recalled",
        "sentence",
        "since_s",
    )

    def __init__(self, order: ChildOrder) -> None:
        self.order = order
        self.pid = 0
        self.since_s = time.monotonic()
        self.recalled = -1
        self.sentence: Sentence | None = None
        self.calling_off = CallingOff()
        self.kill_at_s = inf
        self.is_dismissed = False


@dataclass(frozen=True, slots=True)
class _Order:
    """An order, and whether a child has taken no notice of it."""

    what: Termination
    insist: bool = False


#: What a child holds: node and position of each message, by the sequence of its claim, id and token.
_Held = dict[tuple[int, str, bytes], tuple[str, int]]


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
        self._orders: list[_Order] = []
        self._ask_at_s = 0.0
        self._to_wake: set[bytes] = set()

    def next_s(self) -> float:
        """Return when `look` is needed next, on the monotonic clock; infinity if nothing is to come."""
        next_s = self._ask_at_s if self._orders else inf
        for child in self._children.values():
            until_s = child.kill_at_s
            if child.sentence is None:
                until_s = self._page.deadline(child.order.place).until_s or inf
                until_s = min(until_s, child.calling_off.next_s())
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
                self._end_unread(child, now_s)
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
        sender = child.calling_off.sender(deadline.sequence, deadline.position)
        if sender is not None:
            self._end_called_off(child, deadline, sender)
            return
        log.warning(
            "worker %s ends child %d: its task has run longer than its time_limit of %g s",
            self._worker,
            child.order.shown,
            deadline.limit_s,
        )
        child.sentence = overdue(deadline)
        send_signal(child.pid, signal.SIGKILL)

    # -- runs that are called off -------------------------------------------------

    def _end_called_off(self, child: KnownChild, run: Deadline, sender: str) -> None:
        log.warning(
            "worker %s ends child %d: a task of it was revoked by %s and goes on",
            self._worker,
            child.order.number,
            sender,
        )
        child.sentence = terminated(run.sequence, run.position, signal.SIGKILL.name, sender, run.name)
        send_signal(child.pid, signal.SIGKILL)

    def _end_unread(self, child: KnownChild, now_s: float) -> None:
        """End a child that does not read what it is to call off, if that runs still."""
        if child.sentence is not None:
            return
        order = child.calling_off.overdue(self._page, child.order.place, now_s)
        if order is not None:
            self._orders.append(_Order(order, insist=True))
            self._ask_at_s = 0.0

    def _call_off(self, child: KnownChild, order: Termination, position: int, *, insist: bool) -> bool:
        """Have a run called off in a child that runs others, too; tell whether that is dealt with."""
        if not position:
            return True
        if insist:
            self._condemn(child, order.claim)
            run = Deadline(sequence=order.claim, position=position, name=name_of(order.task_id.encode()))
            self._end_called_off(child, run, order.sender)
            return True
        told = child.calling_off.tell(self._page, child.order.place, order, position, time.monotonic())
        if told:
            log.info("task %s was revoked by %s; its run is called off", order.task_id, order.sender)
            self._to_wake.add(order.holder)
        return told

    def _wake_told(self) -> None:
        holders, self._to_wake = list(self._to_wake), set()
        wake_children(self._link, holders)

    def _condemn(self, child: KnownChild, sequence: int) -> None:
        """Have a child begin nothing more of a claim, and not go beyond it."""
        place = child.order.place
        child.recalled = sequence
        self._page.set_recalled(place, sequence)
        self._page.set_condemned(place, sequence)

    # -- orders -------------------------------------------------------------------

    def terminate(self, order: Termination) -> None:
        """Have a run ended; one that is over, or not of this worker, is left alone."""
        self._orders.append(_Order(order))
        self._ask_at_s = 0.0

    def _carry_out(self) -> None:
        orders, self._orders = self._orders, []
        held_by: dict[bytes, _Held] = {}
        for order in orders:
            task_id = order.what.task_id
            try:
                done = self._end_run(order, held_by)
            except NodeUnavailable as error:
                log.warning("task %s cannot be terminated yet: %s", task_id, error)
                done = False
            except NodeFault:
                log.exception("task %s cannot be terminated", task_id)
                done = True
            if not done:
                self._orders.append(order)
                self._ask_at_s = time.monotonic() + ASK_AGAIN_S
        if self._to_wake:
            self._wake_told()

    def _end_run(self, which: _Order, held_by: dict[bytes, _Held]) -> bool:
        """End a run, or have the message taken back if it has not begun; tell whether that is dealt with.

        Args:
            which: The order.
            held_by: What children that run many at once were found to hold a moment ago.
        """
        order = which.what
        child = next((one for one in self._children.values() if one.order.holder == order.holder), None)
        if child is None or child.sentence is not None:
            return True  # what it holds is put back, and this message ends by that
        if not child.pid:
            return False
        if child.order.pool != PROCESS:
            if order.holder not in held_by:
                held_by[order.holder] = self._held(order.holder)
            node, position = held_by[order.holder].get(_key(order), ("", 0))
            return self._call_off(child, replace(order, node=node), position, insist=which.insist)
        holds = self._held(order.holder)
        node, position = holds.get(_key(order), ("", 0))
        if not position:
            node, position = self._moved(child, order, holds)
        if not position:
            return True
        order = replace(order, node=node)
        place = child.order.place
        self._condemn(child, order.claim)
        note = self._page.read(place)
        if (note.sequence, note.position) == (order.claim, position):
            log.warning(
                "worker %s ends child %d by %s: its task %s was revoked by %s",
                self._worker,
                child.order.shown,
                order.signal.name,
                order.task_id,
                order.sender,
            )
            name = name_of(order.task_id.encode())
            child.sentence = terminated(order.claim, position, order.signal.name, order.sender, name)
            if order.signal is not signal.SIGKILL:
                child.kill_at_s = time.monotonic() + TERMINATE_GRACE_S
            send_signal(child.pid, order.signal)
            return True
        self._page.set_condemned(place, -1)
        link = link_of(self._link, order.claim)
        if note.sequence == order.claim and NOTHING < note.position < position and link is not None:
            # it waits behind another; where the child has not begun with the claim, it gives all of it back itself
            steps = recall(link.session, order.holder, order.sequence, note.position)
            run_patiently(link, steps, SUPERVISOR_PATIENCE_S, within_s=within_s(self._link))
        return True

    def _moved(self, child: KnownChild, order: Termination, holds: _Held) -> tuple[str, int]:
        """Return where a message was claimed that another node leads since; position 0 if it does not run.

        Its position in the claim is forgotten: what runs is found by its name.
        """
        note = self._page.read(child.order.place)
        is_held = any(
            sequence >= ELSEWHERE and (task_id, token) == (order.task_id, order.token.encode())
            for sequence, task_id, token in holds
        )
        is_it = note.name == name_of(order.task_id.encode()) and sequence_of(note.sequence) == order.sequence
        return (node_of(note.sequence) or self._link.home, note.position) if is_held and is_it else ("", 0)

    def _held(self, holder: bytes) -> _Held:
        """Return where the messages that a child holds stand in their claims, from 1."""
        return {
            (sequence, task_id, head[2:52]): (node, position)
            for node, sequence, position, task_id, head in held_everywhere(self._link, holder)
        }


def _key(order: Termination) -> tuple[int, str, bytes]:
    """Return by what to find the message of an order."""
    return order.sequence, order.task_id, order.token.encode()


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a child, which may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # the nursery is about to say so
