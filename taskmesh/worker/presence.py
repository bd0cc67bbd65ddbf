"""A worker among the others: it shows that it lives, sees who does not, and hears orders."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from taskmesh.codec.attempts import attempts_so_far
from taskmesh.codec.control import Control
from taskmesh.codec.outcome import encode_outcome, expired_outcome
from taskmesh.core.steps import Steps
from taskmesh.errors import NodeFault, NodeUnavailable, WorkerError
from taskmesh.nodes.link import Link
from taskmesh.queue.control import take_orders
from taskmesh.queue.expire import expire, expired
from taskmesh.queue.workers import Beat, Serves, beat, bury, children, register, tell, unpark
from taskmesh.replication.ask import plain
from taskmesh.results.read import read
from taskmesh.worker.deaths import Death
from taskmesh.worker.life_events import STOPPED, tell_down, tell_up
from taskmesh.worker.namesakes import namesakes
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S
from taskmesh.worker.orders import Orders
from taskmesh.worker.patience import run_patiently, text_of
from taskmesh.worker.undertaker import Undertaker
from taskmesh.worker.watch import Watch
from taskmesh.worker.words import are, messages

T = TypeVar("T")
log = logging.getLogger("taskmesh.worker")

BEAT_S_MAX = 2.0
#: A counter moves so often in the time that it may stand still.
BEATS_PER_LEASE = 5
#: Above so much of the node's memory, results are kept shorter.
PRESSURE_FROM = 0.8
#: How much sooner they are removed when the memory is full.
PRESSURE_SWEEP_S = 7200


class DeclaredDead(WorkerError):
    """Others have declared this incarnation dead and taken over what it held."""


class Presence:
    """One life of a worker, as the mesh sees it.

    Attributes:
        incarnation: Its name.
        undertaker: Puts back what others leave.
        is_registered: Whether the mesh knows of it.
        beat_s: How often it beats.
        orders_heard: Tells which orders are new.
    """

    def __init__(
        self,
        link: Link,
        worker: str,
        serves: Serves,
        *,
        lease_ttl_s: float,
        max_crashes: int,
        dead_expires_s: int,
        incarnation: bytes = b"",
        orders: Orders | None = None,
        within_s: float | None = None,
        death_of: Callable[[bytes], Death] = lambda _holder: Death(),
    ) -> None:
        """Prepare; `register` begins.

        Args:
            link: To the mesh.
            worker: Name of the worker.
            serves: What it can run.
            lease_ttl_s: How long a counter may stand still.
            max_crashes: A message with so many crashes becomes a dead letter.
            dead_expires_s: How long that is kept.
            incarnation: This life; empty for a new one.
            orders: Which it has heard; None for none yet.
            within_s: How long to wait for an answer; None for as long as the link waits.
            death_of: Tells how a child of this life died, for what this node comes to hold after that.
        """
        self.incarnation = incarnation or new_incarnation()
        self._is_part = bool(incarnation)
        self.undertaker = Undertaker(
            link,
            self.incarnation,
            worker,
            max_crashes=max_crashes,
            dead_expires_s=dead_expires_s,
            within_s=within_s,
        )
        self.is_registered = False
        self.beat_s = beat_s_of(lease_ttl_s)
        self._link = link
        self._serves = serves
        self._watch = Watch(lease_ttl_s, self.beat_s)
        self.orders_heard = orders or Orders(link.controls, worker)
        self._within_s = within_s
        self._death_of = death_of
        self._worker = worker
        self._lease_ttl_s = lease_ttl_s
        self._unpark_at = 0.0
        self._epoch = b""

    def register(self, info: bytes, report: bytes = b"") -> None:
        """Make this incarnation known: it is alive from now on.

        Args:
            info: What it tells of itself.
            report: What it publishes with its first beat.

        Raises:
            NodeUnavailable: It may be known or not; registering again is harmless.
        """
        self._run(register(self._link.session, self.incarnation, info))
        self.is_registered = True
        if not self._is_part:
            tell_up(self._link, self.incarnation, self._worker, info)
        self._look_at_others(report)

    def warn_of_namesakes(self) -> None:
        """Say so if another live worker has this one's name."""
        try:
            places = self._run(namesakes(self._link.session, self._worker, self.incarnation))
        except NodeUnavailable as error:
            log.debug("cannot look for workers of the same name: %s", error)
            return
        if places:
            log.warning(
                "another worker named %s is live (%s), or was killed less than %g s ago: orders to that name reach "
                "both, and looks cannot tell them apart; give each a name of its own (-n)",
                self._worker,
                "; ".join(places),
                self._lease_ttl_s,
            )

    def tell(self, info: bytes) -> None:
        """Change what this incarnation tells of itself.

        Raises:
            NodeUnavailable: It may be known or not; the next change tells again.
        """
        self._run(tell(self._link.session, self.incarnation, info))

    def beat(self, own: Collection[bytes], report: bytes = b"") -> None:
        """Move the counter, and take over from the dead.

        Args:
            own: The holders of this life that live, or whose end is being dealt with.
            report: What it publishes of them.

        Raises:
            DeclaredDead: This incarnation holds nothing any more.
            NodeUnavailable: The counter may not have moved.
        """
        self._link.measure_clock()
        self.beat_at(own, report)

    def beat_at(self, own: Collection[bytes], report: bytes) -> None:
        """As `beat`, on one of several nodes: the clock that counts is not this one's."""
        self._look_at_others(report)
        self._disown(own)

    def revive(self, info: bytes, report: bytes, own: Collection[bytes]) -> None:
        """Live again on one of several nodes, on which others have declared this incarnation dead.

        What they took over is theirs. What they had not got to is held again, and is put back if nobody here runs it.

        Args:
            info: What this incarnation tells of itself.
            report: What it publishes.
            own: As in `beat`.
        """
        self.register(info, report)
        self._put_back_others(own)

    def orders(self) -> list[Control]:
        """Return the orders that are to be obeyed now; each is returned once.

        Raises:
            NodeUnavailable, NodeFault: They cannot be read.
        """
        wires = self._run(take_orders(self._link.session, self.incarnation))
        return self.orders_heard.accept(wires, self._link.clock.now_ms()) if wires else []

    def missed(self) -> None:
        """Note that a beat failed: nobody is judged by the time until the next."""
        self._watch.missed()

    def leave(self) -> bool:
        """Sign off, and tell whether nothing is left of this incarnation."""
        gone: bool = self._run(bury(self._link.session, self.incarnation))
        if not self._is_part:
            tell_down(self._link, self.incarnation, self._worker, STOPPED)
        return gone

    def _run(self, steps: Steps[T]) -> T:
        return run_patiently(self._link, steps, SUPERVISOR_PATIENCE_S, within_s=self._within_s)

    def _look_at_others(self, report: bytes) -> None:
        session = self._link.session
        ahead_s = sweep_ahead_s(self._run(plain(session, b"INFO", b"memory")))
        try:
            steps = beat(
                session,
                self.incarnation,
                sweep_ahead_s=ahead_s,
                report=report,
                watched=self._watch.wanted,
            )
            beats = self._run(steps)
        except NodeFault as error:
            if text_of(error).startswith("DEADWORKER"):
                raise DeclaredDead(str(error)) from error
            raise
        others = [found for found in beats if found.incarnation != self.incarnation]
        over = self._over(others)
        # when most vanish at once, the cause is not what they were running
        blame = len(over) * 2 <= self._watch.known + 1
        dead = [found.incarnation for found in others if found.state == "dead"]
        for found in over:
            if self.undertaker.declare(found.incarnation, found.count):
                log.warning("worker %s is declared dead", self.undertaker.known_as(found.incarnation))
                self.undertaker.tell_of_death(found.incarnation)
                dead.append(found.incarnation)
        for incarnation in dead:
            try:
                count = self.undertaker.worker_died(incarnation, blame=blame)
            except NodeFault as error:
                if not text_of(error).startswith("NOTDEAD"):
                    raise
                # a node that came back with an older disk knows nothing of the declaration: it is made again in time
                log.warning("worker %s is not declared dead any more", self.undertaker.known_as(incarnation))
                continue
            if count:  # what it held elsewhere is told by whoever put that back
                log.info(
                    "%s back in line, which the dead worker %s held",
                    are(count),
                    self.undertaker.known_as(incarnation),
                )
        self._unpark()
        self._expire()

    def _disown(self, own: Collection[bytes]) -> None:
        """Put back, after each change of the epoch, what children that are no more are said to hold.

        An older disk may say so of a child that has been dealt with, or what it held came here from another node.
        Nobody would ask again.
        """
        session = self._link.session
        if session.epoch == self._epoch:
            return
        epoch = session.epoch
        if self._epoch:
            self._put_back_others(own)
        self._epoch = epoch

    def _put_back_others(self, own: Collection[bytes]) -> None:
        for number in self._run(children(self._link.session, self.incarnation)):
            holder = self.incarnation + number
            if holder not in own:
                death = self._death_of(holder)
                self.undertaker.child_died(
                    holder,
                    (),
                    death.note,
                    death.how,
                    singly=death.singly,
                    last=death.last,
                    sentence=death.sentence,
                )

    def _over(self, others: Sequence[Beat]) -> list[Beat]:
        """Return the others whose lease is over, or who are known to be gone."""
        over = self._watch.read(others, time.monotonic())
        return over + [
            found
            for found in others
            if found.state == "live"
            and found not in over
            and self.undertaker.is_gone_from_this_host(found.incarnation)
        ]

    def _unpark(self) -> None:
        """Return to their lines, now and then, messages that workers of other builds could not take.

        Not only at the start: while both builds run, such a message may fall to the wrong one again.
        """
        now_s = time.monotonic()
        if now_s < self._unpark_at:
            return
        count = self._run(unpark(self._link.session, self._serves, self.incarnation))
        # again soon while there are any: the other build takes and parks some of them again and again
        self._unpark_at = now_s + (self.beat_s if count else self._lease_ttl_s)
        if count:
            log.info("%s back in line, which another build left and this worker can run", are(count))

    def _expire(self) -> None:
        """End some messages whose time to begin is over: nobody may claim them for long."""
        found = self._run(expired(self._link.session))
        if not found:
            return
        now_ms, results = self._link.clock.now_ms(), self._link.results
        records = self._run(read(self._link.session, [task_id for task_id, _ in found]))
        entries = [
            (
                task_id.encode(),
                version,
                encode_outcome(
                    expired_outcome(
                        task_id, "", now_ms, self._worker, attempts_so_far(record, results, task_id)
                    ),
                    results,
                ),
            )
            for (task_id, version), record in zip(found, records, strict=True)
        ]
        count = self._run(expire(self._link.session, entries))
        log.info("%s expired before beginning", messages(count))


def beat_s_of(lease_ttl_s: float) -> float:
    """Return how often a counter moves that may stand still for so long."""
    return min(BEAT_S_MAX, lease_ttl_s / BEATS_PER_LEASE)


def new_incarnation() -> bytes:
    """Return the name of a new life."""
    return os.urandom(8).hex().encode()


def sweep_ahead_s(info: bytes) -> int:
    """Return how much sooner than due results are removed, from the node's own account of its memory."""
    facts = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
    limit = int(facts.get(b"maxmemory", b"0"))
    share = int(facts.get(b"used_memory", b"0")) / limit if limit else 0.0
    return int(max(0.0, min(1.0, (share - PRESSURE_FROM) / (1 - PRESSURE_FROM))) * PRESSURE_SWEEP_S)
