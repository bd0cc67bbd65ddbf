"""The leader's work: each firing becomes a message, once.

A firing's id is made of schedule and nominal moment, so that enqueueing it again changes nothing. After messages were
recorded, the cursor of their shard says so: a leader that is lost in between leaves firings that the next one enqueues
again, to no effect. What it sends carries its token; the node refuses an older one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from taskmesh.broker.announcing import announce
from taskmesh.consensus.registers import Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination.cursor import Cursor, cursor_register, pack_cursor, unpack_cursor
from taskmesh.coordination.firing import shard_of
from taskmesh.coordination.install import STALE, install, stale
from taskmesh.coordination.leader import Tenure
from taskmesh.coordination.schedule import ALL, ALLOW
from taskmesh.coordination.settle import settle, settled_ms
from taskmesh.errors import LeadershipLost, TaskMeshError
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue
from taskmesh.scheduler.definitions import Definitions
from taskmesh.scheduler.message import Maker
from taskmesh.scheduler.misfire import still_to_run, to_run
from taskmesh.scheduler.overlapping import Due, Overlapping

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.scheduler")
#: How often it is looked for changed schedules, for ended messages that others wait for, and for what failed before.
LOOK_S = 0.5
#: How often a cursor is written at most: what lies between two writes is enqueued again by the next leader.
CURSOR_S = 1.0
#: How often the node's clock is measured.
CLOCK_S = 10.0
#: How often the node is told which firings are in cursors; it forgets nothing in its first ten minutes.
SETTLE_S = 10.0
#: Messages that are made and sent before the lease is looked at again.
SLICE = 1000
#: Firings that are sent before it is looked again at what is due: what was missed keeps nothing waiting for long.
TURN_MAX = 10_000
#: How long the node may take to record them.
SEND_S = 2.0


class Firing:
    """What one leader does, for as long as it leads."""

    def __init__(
        self,
        link: Link,
        agreement: Agreement,
        tenure: Tenure,
        may_act: Callable[[], bool],
        sender: str,
        broker: Broker | None = None,
    ) -> None:
        """Prepare.

        Args:
            link: To the node.
            agreement: To the registers.
            tenure: The lead.
            may_act: Tells whether it lasts.
            sender: Who sends, for people to read.
            broker: Of the mesh, if it has one: it is told of what is sent.
        """
        self._link = link
        self._agreement = agreement
        self._token = tenure.token
        self._may_act = may_act
        self._broker = broker
        self.definitions = Definitions(agreement.registers)
        self._overlapping = Overlapping(link, self.definitions)
        self._maker = Maker(link.session, link.messages, sender)
        self._pending: list[Due] = []
        self._undecided: list[Due] = []
        self._unseen: set[int] = set()
        self._unwritten: set[int] = set()
        self._unnoted: set[int] = set()
        self._look_at_s = self._write_at_s = self._settle_at_s = 0.0
        self._clock_at_s = time.monotonic() + CLOCK_S
        self.fired = 0

    def begin(self) -> None:
        """Have the node obey no older leader, then read what there is to do.

        Raises:
            LeadershipLost: There is a newer one.
            AgreementError, NodeUnavailable: Later, perhaps.
        """
        self._link.open()
        self._link.run(install(self._link.session, self._token), within_s=SEND_S)
        # before anything is sent; it says nothing that the node knows better
        self._link.run(settle(self._link.session, self._token, 0), within_s=SEND_S)
        self._agreement.run(self.definitions.load())
        self._pending = self._overlapping.unrecorded()
        self._unseen |= self._waiting()
        # what a leader before may have left is tried with the first look
        self._look_at_s = 0.0 if self._pending else time.monotonic() + LOOK_S

    def turn(self) -> float:
        """Enqueue what is due, and return after how many seconds something may be to do again.

        Raises:
            LeadershipLost: There is a newer leader.
            AgreementError, NodeUnavailable: Later, perhaps; nothing is lost.
        """
        now_s = time.monotonic()
        looks = now_s >= self._look_at_s
        if looks:
            self._look_at_s = now_s + LOOK_S
            self._agreement.run(self.definitions.follow())
        if now_s >= self._clock_at_s:
            self._clock_at_s = now_s + CLOCK_S
            self._link.measure_clock(SEND_S)
        now_ms = self._link.clock.now_ms()
        due, guarded, shards = self._due(now_ms)
        self._unseen |= shards
        if guarded or looks:
            guarded = self._wanted(self._undecided, now_ms) + guarded
            self._undecided = []
            try:
                chosen, changed = self._overlapping.decide(guarded, self._pending)
            except TaskMeshError:
                # the agenda has passed all of them: they are remembered here or nowhere
                self._undecided = guarded
                self._pending += due
                raise
            due += chosen
            self._unnoted |= {shard_of(name) for name, _ in chosen}
            self._unseen |= changed | {shard_of(name) for name, _ in guarded}
        self._send(due, now_ms, retry=looks)
        # also those whose firings were tried again: else the next leader would try them, whenever that is
        seen = self._unseen - self._waiting()
        self.definitions.seen(seen, now_ms)
        self._unseen -= seen
        self._unwritten |= seen
        self._write(now_s)
        self._settle(now_s, now_ms)
        return self._wait_s(now_s)

    def _due(self, now_ms: int) -> tuple[list[Due], list[Due], set[int]]:
        """Return the firings that are due: those that just run, those that depend on others; and their shards."""
        free: list[Due] = []
        guarded: list[Due] = []
        shards: set[int] = set()
        for name, first_ms in self.definitions.agenda.due(now_ms):
            known = self.definitions.known[name]
            schedule = known.schedule
            shards.add(shard_of(name))
            into = free if schedule.overlap == ALLOW else guarded
            into += (
                (name, nominal_ms)
                for nominal_ms in to_run(
                    known.when,
                    after_ms=first_ms - 1,
                    now_ms=now_ms,
                    misfire=schedule.misfire,
                    catch_up_ms=schedule.catch_up_ms,
                    start_ms=schedule.start_ms,
                    end_ms=schedule.end_ms,
                )
            )
        return free, guarded, shards

    # -- sending ----------------------------------------------------------------------

    def _send(self, due: list[Due], now_ms: int, *, retry: bool) -> None:
        """Enqueue firings; those that cannot be now are tried again with the next look."""
        if retry and self._pending:
            # a schedule that was given other times may be due once more at a moment that is pending
            due = list(dict.fromkeys(self._in_order(due, now_ms)))
            self._pending = []
        for at in range(0, len(due), SLICE):
            part = due[at : at + SLICE]
            if at >= TURN_MAX:
                self._pending += due[at:]
                self._look_at_s = 0.0
                return
            if not self._may_act():
                self._pending += due[at:]
                return
            try:
                self._send_some(part)
            except LeadershipLost:
                raise
            except TaskMeshError:
                self._pending += due[at:]
                raise

    def _in_order(self, due: Sequence[Due], now_ms: int) -> list[Due]:
        """Return what is due and what is pending: first the schedules of which nothing is pending."""
        behind = {name for name, _ in self._pending}
        ahead = [each for each in due if each[0] not in behind]
        late = self._pending + [each for each in due if each[0] in behind]
        return ahead + self._wanted(late, now_ms, decided=True)

    def _note_begun(self, due: Sequence[Due]) -> None:
        """Write down what is about to be sent of schedules that want no overlaps.

        A leader that is lost between such a message and its cursor would leave one of which the next knows nothing.
        """
        for shard in sorted({shard_of(name) for name, _ in due} & self._unnoted):
            self._write_cursor(shard)
            self._unnoted.discard(shard)

    def _send_some(self, due: Sequence[Due]) -> None:
        self._note_begun(due)
        messages: list[NewMessage] = []
        functions: dict[bytes, bytes] = {}
        of_message: dict[str, Due] = {}
        for name, nominal_ms in due:
            known = self.definitions.known.get(name)
            if known is None:
                continue  # removed or paused since
            message = self._maker.firing(known.schedule, nominal_ms)
            messages.append(message)
            of_message[message.task_id.decode()] = name, nominal_ms
            if message.function:
                functions[message.function] = known.schedule.call.blob
        sent = self._link.run(
            enqueue(self._link.session, messages, functions, patience_s=SEND_S, token=self._token)
        )
        if self._broker is not None:
            announce(self._broker, messages, sent)
        self.fired += len(sent.accepted) - len(sent.known)
        self._overlapping.recorded(of_message[task_id] for task_id in sent.accepted)
        self._keep_what_failed(sent, of_message)

    def _keep_what_failed(self, sent: Sent, of_message: dict[str, Due]) -> None:
        failed = {**sent.rejected, **sent.unknown}
        if any(reason.startswith(STALE) for reason in failed.values()):
            raise stale(self._token)
        if failed:
            self._pending += [of_message[task_id] for task_id in failed]
            task_id, reason = next(iter(failed.items()))
            log.warning("%d firings are not recorded yet, %s for one: %s", len(failed), task_id, reason)

    def _wanted(self, due: Sequence[Due], now_ms: int, *, decided: bool = False) -> list[Due]:
        """Return those that are to be run although they may be late by now; by the rules for what was missed.

        Args:
            due: Firings, those of each schedule in order.
            now_ms: The present.
            decided: Whether those that depend on others were decided upon: one that waited for another is not late.
        """
        moments: dict[str, list[int]] = {}
        for name, nominal_ms in due:
            moments.setdefault(name, []).append(nominal_ms)
        wanted: list[Due] = []
        for name, late in moments.items():
            known = self.definitions.known.get(name)
            if known is not None:
                schedule = known.schedule
                misfire = ALL if decided and schedule.overlap != ALLOW else schedule.misfire
                kept = still_to_run(late, now_ms, misfire, schedule.catch_up_ms)
                wanted += ((name, nominal_ms) for nominal_ms in kept)
        return wanted

    # -- cursors ----------------------------------------------------------------------

    def _waiting(self) -> set[int]:
        """Return the shards of which firings are not recorded yet: their cursors say what is not so yet."""
        names = {name for name, _ in self._pending}
        names.update(name for name, _ in self._undecided)
        return {shard_of(name) for name in names}

    def _write(self, now_s: float) -> None:
        if now_s < self._write_at_s:
            return
        if self._unwritten - self._waiting():
            self._write_at_s = now_s + CURSOR_S
        self.flush()

    def flush(self) -> None:
        """Write the cursors that have moved; not where firings are not recorded yet, to which the next leader sees."""
        for shard in sorted(self._unwritten - self._waiting()):
            self._write_cursor(shard)
            self._unwritten.discard(shard)

    def _write_cursor(self, shard: int) -> None:
        self._agreement.run(
            self._agreement.registers.change(
                cursor_register(shard),
                moved(self.definitions.cursors[shard], self._token),
                self._agreement.operation(),
                sticky=True,
            )
        )

    def _settle(self, now_s: float, now_ms: int) -> None:
        """Have the node forget, in its time, the firings of which cursors say that they were seen to."""
        if now_s < self._settle_at_s or self._unseen or self._unwritten:
            return
        self._settle_at_s = now_s + SETTLE_S
        until_ms = settled_ms(now_ms, self._overlapping.waiting_ms())
        self._link.run(settle(self._link.session, self._token, until_ms), within_s=SEND_S)

    def _wait_s(self, now_s: float) -> float:
        next_ms = self.definitions.agenda.next_ms()
        wait_s = self._look_at_s - now_s
        if self._unwritten:
            wait_s = min(wait_s, max(0.0, self._write_at_s - now_s))
        if next_ms is not None:
            wait_s = min(wait_s, (next_ms - self._link.clock.now_ms()) / 1000)
        return max(0.0, wait_s)


def moved(cursor: Cursor, token: int) -> Callable[[Versioned], Verdict]:
    """Return the change that moves a cursor on; only the leader with the greatest token moves it.

    Raises:
        LeadershipLost: From the change: another leader has moved it.
    """

    def change(found: Versioned) -> Verdict:
        old = unpack_cursor(found.content)
        if old.token > token:
            return Refuse(stale(token))
        new = Cursor(max(old.seen_ms, cursor.seen_ms), cursor.running, token)
        return Keep() if new == old else Write(pack_cursor(new))

    return change
