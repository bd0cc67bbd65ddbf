"""Supervisors: they keep children and leases alive as `taskmesh.worker` does, over the same protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.keys import BY_TICKET
from taskmesh.core.record import AT_MOST_ONCE, TOKEN
from taskmesh.core.steps import Pause, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.claim import held, recall, unheard
from taskmesh.queue.control import take_orders
from taskmesh.queue.expire import expire, expired
from taskmesh.queue.ticket import give
from taskmesh.queue.workers import (
    Charge,
    Serves,
    beat,
    bury,
    children,
    declare_dead,
    reap,
    register,
    tell,
    unpark,
)
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.worker.page import Note
from taskmesh.worker.undertaker import may_have_begun
from taskmesh.worker.watch import Watch
from tests.simulation.child import NOTHING, PATIENCE_S, Child
from tests.simulation.concurrent_child import MANY, ConcurrentChild
from tests.simulation.ledger import PREFIX

if TYPE_CHECKING:
    from tests.simulation.world import World

BEAT_S = 0.5
LEASE_TTL_S = 2.5
RECALL_S = 0.05
MAX_CRASHES = 3
ORDERS_S = 0.25
TELL_S = 0.9

#: What a child is ended for: claim, position in it, letter of the state in which its message ends.
Sentence = tuple[int, int, bytes]


class Supervisor:
    """A supervisor: keeps its children alive and the lease of what they hold."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.process = SimulatedProcess(
            f"supervisor {number}",
            world.network,
            timeout_s=0.6,
            clock_skew_s=world.random.uniform(-0.02, 0.02),
        )
        self.session = self.process.session(PREFIX, epoch=world.epoch)
        self.build = b"new" if world.healed else world.random.choice([b"old", b"old", b"new"])
        self.hears_tickets = world.rates.tickets > 0 and world.random.random() < world.rates.tickets
        self.incarnation = b""
        self.children: list[Child] = []
        self.numbers = 0
        self.epoch_seen = b""
        self.unpark_at_s = 0.0
        self._life = 0
        self._retired = False

    def begin(self) -> None:
        """Begin a life: at the start, and after having been declared dead."""
        self._life += 1
        self.incarnation = self.world.new_incarnation()
        self.epoch_seen = self.session.epoch
        self.process.start(self._live(self._life))

    # The nemesis and its like

    def die(self, *, children_later_s: float) -> None:
        """Be killed; the children are, too, after so long."""
        self.process.crash()
        orphans, self.children = self.children, []
        for child in orphans:
            self.world.runs.dies(child)
            self.world.time.after(children_later_s, child.process.crash)

    def child_dies(self, child: Child) -> None:
        """Let a child be killed; the supervisor hears of it."""
        if not child.process.alive:
            return
        self.world.runs.dies(child)
        child.process.crash()
        if child in self.children:
            self.process.after(0.001, lambda: self._child_ended(child, child.note))

    # Ending what runs

    def note_deadline(self, child: Child, run: tuple[int, int], limit_s: float) -> None:
        """End the child when its limit is over, if it still runs this."""
        self.process.after(
            limit_s,
            lambda: self.process.start(self._end(child, (*run, b"F"))) if child.process.alive else None,
        )

    def _end(self, child: Child, sentence: Sentence) -> Steps[bool]:
        """End a child for a run, unless it is beyond it; tell whether it was."""
        run = sentence[:2]
        if child.is_sentenced:
            return True
        if not child.is_in(run):
            return False
        child.recalled = child.condemned = run[0]
        yield Pause(self.world.random.choice([0.0, 0.0, 0.02]))
        if child.is_sentenced:
            return True  # it is kept where it is, for another reason to end it
        if not child.is_in(run):
            child.condemned = -1
            return False
        child.is_sentenced = True
        # a signal takes its time, and the child goes on meanwhile
        yield Pause(self.world.random.choice([0.0, 0.0, 0.02, 0.3]))
        if child.process.alive and child in self.children:
            self.world.runs.is_ended(child, run)
            child.process.crash()
            self.process.after(0.001, lambda: self._child_ended(child, None, sentence))
        return True

    def _heed_orders(self, life: int) -> Steps[None]:
        while life == self._life and not self._retired:
            yield Pause(ORDERS_S)
            try:
                for wire in (yield from take_orders(self.session, self.incarnation)):
                    for run in wire.split(b","):
                        yield from self._terminate(*run.split(b" "))
            except NodeUnavailable:
                continue

    def _terminate(self, task_id: bytes, token: bytes) -> Steps[None]:
        holder, sequence = token[20:42], int(token[42:], 16)
        child = next((one for one in self.children if one.holder == holder), None)
        if child is None or isinstance(child, ConcurrentChild):
            return  # one of many cannot be ended for that
        for _ in range(50):
            try:
                found = yield from held(self.session, holder, patience_s=PATIENCE_S)
                break
            except NodeUnavailable:
                continue
        else:
            return
        position = next((row[1] for row in found if row[0] == sequence and row[2] == task_id.decode()), 0)
        if not position or not child.process.alive:
            return
        ended = yield from self._end(child, (sequence, position, b"V"))
        if ended:
            return
        child.recalled = sequence
        if child.note[0] == sequence and NOTHING < child.note[1] < position:
            yield from recall(self.session, holder, sequence, child.note[1], patience_s=0.6)

    def child_is_told_dead(self, child: Child) -> None:
        """Let a child end because the node says that its worker is dead."""
        child.process.crash()
        self.process.after(0.001, lambda: self._declared_dead(child))

    def retire(self) -> None:
        """End for good, leaving nothing."""
        if not self.process.alive:
            return
        self._retired = True
        self.process.start(self._retire())

    def _retire(self) -> Steps[None]:
        retired, self.children = self.children, []
        for child in retired:
            child.process.crash()
        for child in retired:
            yield from self._bury_child(child, None)
        yield from bury(self.session, self.incarnation)
        self.process.crash()

    # Children

    def _hire(self) -> None:
        self.numbers += 1
        rates, random = self.world.rates, self.world.random
        many = rates.concurrent and random.random() < rates.concurrent
        number = self.numbers + (BY_TICKET if self.hears_tickets else 0)
        child = ConcurrentChild(self, number) if many else Child(self, number)
        self.children.append(child)
        child.begin()

    def _child_ended(
        self, child: Child, note: tuple[int, int, int, float] | None, sentence: Sentence | None = None
    ) -> None:
        if child not in self.children:
            return
        self.children.remove(child)
        life = self._life

        def replace(_: None) -> None:
            if life == self._life and not self._retired:
                self.process.after(0.05, self._hire)

        self.process.start(self._bury_child(child, note, sentence), replace)

    def _bury_child(
        self, child: Child, note: tuple[int, int, int, float] | None, sentence: Sentence | None = None
    ) -> Steps[None]:
        while True:
            if child.holder[:16] != self.incarnation:
                return  # declared dead meanwhile: others put back what it held
            # one that runs many at once notes only whose fault its death would be
            last = None if isinstance(child, ConcurrentChild) else child.note
            try:
                yield from self._child_died(child.holder, note, singly=False, last=last, sentence=sentence)
            except NodeUnavailable:
                continue
            return

    def _child_died(
        self,
        holder: bytes,
        note: tuple[int, int, int, float] | None,
        *,
        singly: bool,
        last: tuple[int, int, int, float] | None = None,
        sentence: Sentence | None = None,
    ) -> Steps[None]:
        charge, by = None, self.incarnation
        held_now = yield from held(self.session, holder, patience_s=PATIENCE_S)
        lost = [
            Charge(task_id.encode(), head[TOKEN], b"D|%s|may have begun" % task_id.encode())
            for sequence, position, task_id, head in held_now
            if int(head[61:62], 16) & AT_MOST_ONCE
            and may_have_begun(Note(*last) if last is not None else None, sequence, position)
        ]
        if note is not None and note[1] == MANY:
            singly = True
        elif sentence is not None or (note is not None and note[1]):
            for sequence, position, task_id, head in held_now:
                if sentence is not None:
                    if (sequence, position) == sentence[:2]:
                        charge = self._sentenced(task_id.encode(), head, sentence[2])
                elif note is not None and (sequence, position) == note[:2]:
                    charge = self._charge(task_id.encode(), head)
        yield from reap(self.session, holder, by, self.world.queues, charge, singly=singly, lost=lost)

    def _sentenced(self, task_id: bytes, head: bytes, letter: bytes) -> Charge:
        return Charge(task_id, head[2:52], b"%s|%s|ended" % (letter, task_id), letter)

    def _charge(self, task_id: bytes, head: bytes) -> Charge:
        outcome = b"D|%s|crashed" % task_id if int(head[58:60], 16) + 1 >= MAX_CRASHES else b""
        return Charge(task_id, head[2:52], outcome)

    def look_again_at(self, child: Child, sequence: int, position: int) -> None:
        """Look, a little later, whether the child still runs this message, and take back what waits behind it."""

        def look() -> None:
            if child.process.alive and child.note[:2] == (sequence, position) and child.recalled != sequence:
                child.recalled = sequence
                self.process.start(self._recall(child, sequence))

        self.process.after(RECALL_S, look)

    def _recall(self, child: Child, sequence: int) -> Steps[None]:
        # read again: the child looks at the flag after it has noted where it is
        position = child.note[1]
        if child.note[0] != sequence or not position:
            return
        try:
            yield from recall(self.session, child.holder, sequence, position, patience_s=0.6)
        except NodeUnavailable:
            return  # the child gives them back itself when the slow one ends

    # The mesh

    def _live(self, life: int) -> Steps[None]:
        while True:
            try:
                yield from register(self.session, self.incarnation, b"{}")
                break
            except NodeUnavailable:
                continue
        for _ in range(self.world.rates.children):
            self._hire()
        self.process.start(self._heed_orders(life))
        self.process.start(self._keep_telling(life))
        if self.hears_tickets:
            self.process.start(self._hear(life))
        # as in a fleet so large that nobody watches all
        watch = Watch(LEASE_TTL_S, BEAT_S, 1 + self.world.seed % 3)
        while life == self._life and not self._retired:
            try:
                yield from self._look_at_others(watch)
            except NodeUnavailable:
                watch.missed()
            except NodeFault as error:
                if "DEADWORKER" not in str(error):
                    raise
                if life == self._life:
                    self._declared_dead(None)
                return
            yield Pause(BEAT_S)

    def _hear(self, life: int) -> Steps[None]:
        """Hear tickets, most of them for nothing: whoever sends them is not simulated."""
        world = self.world
        while life == self._life and not self._retired:
            yield Pause(world.random.choice([0.001, 0.02, 0.3]))
            queue, most = world.random.choice(world.queues).decode(), world.random.choice([1, 2, 64])
            try:
                yield from give(self.session, self.incarnation, queue, most, patience_s=0.6)
            except NodeUnavailable:
                continue

    def _keep_telling(self, life: int) -> Steps[None]:
        """Tell how many children there are, now and then."""
        while life == self._life and not self._retired:
            try:
                yield from tell(
                    self.session, self.incarnation, b"%d" % len(self.children), patience_s=PATIENCE_S
                )
            except NodeUnavailable:
                continue
            yield Pause(TELL_S)

    def _look_at_others(self, watch: Watch) -> Steps[None]:
        beats = yield from beat(self.session, self.incarnation, watched=watch.wanted, patience_s=PATIENCE_S)
        if self.session.epoch != self.epoch_seen:
            epoch = self.session.epoch
            yield from self._disown()
            self.epoch_seen = epoch
        others = [found for found in beats if found.incarnation != self.incarnation]
        over = watch.read(others, self.world.time.now_s)
        blame = len(over) * 2 <= watch.known + 1
        dead = [found.incarnation for found in others if found.state == "dead"]
        for found in over:
            is_dead = yield from declare_dead(
                self.session, found.incarnation, found.count, patience_s=PATIENCE_S
            )
            dead += [found.incarnation] * is_dead
        if self.world.time.now_s >= self.unpark_at_s:
            self.unpark_at_s = self.world.time.now_s + LEASE_TTL_S
            serves = Serves(self.build.decode(), [queue.decode() for queue in self.world.queues])
            yield from unpark(self.session, serves, self.incarnation)
        found = yield from expired(self.session, patience_s=PATIENCE_S)
        if found:
            entries = [
                (task_id.encode(), version, b"X|%s|%s" % (task_id.encode(), self.incarnation))
                for task_id, version in found
            ]
            yield from expire(self.session, entries, patience_s=PATIENCE_S)
        for incarnation in dead:
            try:
                yield from self._worker_died(incarnation, blame=blame)
            except NodeFault as error:
                # it lives again: the node came back with an older disk
                if "NOTDEAD" not in str(error):
                    raise

    def _disown(self) -> Steps[None]:
        """Reap children of this life that are no more: an older disk may say that they hold something."""
        for number in (yield from children(self.session, self.incarnation)):
            holder = self.incarnation + number
            if holder not in {child.holder for child in self.children}:
                yield from self._child_died(holder, None, singly=False)

    def _worker_died(self, incarnation: bytes, *, blame: bool) -> Steps[None]:
        for child in (yield from children(self.session, incarnation)):
            holder = incarnation + child
            found = yield from held(self.session, holder, patience_s=PATIENCE_S)
            if found:
                not_begun = yield from unheard(self.session, holder)
                found = [row for row in found if row[2] not in not_begun]
            note = None
            if blame and len(found) == 1:
                note = (found[0][0], found[0][1], found[0][1], 0.0)
                self.world.ledger.plans[found[0][2].encode()].blamable += 1
            yield from self._child_died(holder, note, singly=blame and len(found) > 1)
        yield from bury(self.session, incarnation)

    def _declared_dead(self, child: Child | None) -> None:
        """Others have taken over: end the children and begin anew."""
        if child is not None and child not in self.children:
            return
        for other in self.children:
            self.world.runs.dies(other)
            other.process.crash()
        self.children = []
        self.begin()
