"""Workers: supervisors and their children, living as `taskmesh.worker` lives, over the same protocols.

What is not simulated is what has no part in the protocols: the template, pickles, signals. The page that a child
shares with its supervisor is two attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.steps import Call, Pause, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.claim import Claimed, handed_off, held, recall
from taskmesh.queue.commit import DONE, REPEATED, commit
from taskmesh.queue.turn import turn
from taskmesh.queue.workers import (
    Charge,
    beat,
    bury,
    children,
    declare_dead,
    reap,
    register,
    unpark,
)
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.worker.watch import Watch
from tests.simulation.ledger import PREFIX

if TYPE_CHECKING:
    from tests.simulation.world import World

BEAT_S = 0.5
LEASE_TTL_S = 2.5
LOOK_S = 1.0
RECALL_S = 0.05
TINY_S = 0.005
COMPARE_S = 3.0
PATIENCE_S = 1.5
GRACE_S = 1.5
MAX_CRASHES = 3
NOTHING = 0


class Child:
    """A child: claims, runs, commits."""

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        world = supervisor.world
        self.world = world
        self.supervisor = supervisor
        self.holder = supervisor.incarnation + b"%06x" % number
        self.process = SimulatedProcess(
            f"child {self.holder.decode()}",
            world.network,
            timeout_s=1.0,
            clock_skew_s=world.random.uniform(-0.02, 0.02),
        )
        self.session = self.process.session(supervisor.session.prefix, epoch=supervisor.session.epoch)
        self.build = supervisor.build
        # the page: sequence, position, how many, since when; and the sequence that is taken back
        self.note = (0, NOTHING, 0, 0.0)
        self.recalled = -1
        self.batch: list[Claimed] = []
        self.entries: list[bytes] = []
        self.done: list[int] = []
        self.sequence = 0
        self.idle = False
        self.compare_at_s = world.time.now_s + COMPARE_S

    def begin(self) -> None:
        """Start to live."""
        self.process.start(self._live())

    def _live(self) -> Steps[None]:
        try:
            while True:
                batch = yield from self._turn()
                if not batch:
                    batch = yield from self._sleep()
                if batch:
                    yield from self._run_claim(batch)
        except NodeFault as error:
            if not str(error.__dict__.get("text", "")).startswith("DEADWORKER"):
                raise
            self.supervisor.child_is_told_dead(self)

    def _turn(self) -> Steps[list[Claimed]]:
        entries, self.entries = self.entries, []
        done, self.done = self.done, []
        while True:
            try:
                verdicts, claimed = yield from turn(
                    self.session,
                    self.holder,
                    self.build,
                    done,
                    entries,
                    self.sequence + 1,
                    self.world.random.randint(1, self.world.rates.most_max),
                    self.world.queues,
                    idle=self.idle,
                    patience_s=PATIENCE_S,
                )
            except NodeUnavailable:
                continue  # both halves may be repeated as they are
            except NodeFault as error:
                said = str(error.__dict__.get("text", ""))
                if not said.startswith("OLDSEQUENCE"):
                    raise
                # the answer to an empty claim was lost, and a message was handed over since: ask for that one
                self.sequence = int(said.split()[1], 16) - 1
                continue
            self.sequence += 1
            self.idle = not claimed
            self._judge(entries, verdicts)
            return claimed

    def _run_claim(self, batch: list[Claimed]) -> Steps[None]:
        sequence, total, world = self.sequence, len(batch), self.world
        self.batch = batch
        for position in range(1, total + 1):
            self._look_busy(sequence, position, total)
            if self.recalled == sequence:
                self.note = (sequence, NOTHING, total, 0.0)
                yield from self._give_back(position - 1)
                break
            yield from self._run(batch[position - 1])
            if self.entries and position < total and world.random.random() < 0.3:
                yield from self._flush()
        self.note = (sequence, NOTHING, 0, 0.0)
        self.batch = []
        self.done.append(sequence)

    def _look_busy(self, sequence: int, position: int, total: int) -> None:
        self.note = (sequence, position, total, self.world.time.now_s)
        if total > position:
            self.supervisor.look_again_at(self, sequence, position)

    def _run(self, claimed: Claimed) -> Steps[None]:
        world = self.world
        plan = world.ledger.plans[claimed.task_id]
        if plan.kind == "unknown" and self.build == b"old":
            self._park(claimed)
            return
        if plan.duration_s >= TINY_S and self.entries:
            yield from self._flush()
        if plan.kind.startswith("value"):
            yield from self._fetch(claimed, plan.function)
        plan.runs += 1
        world.runs.began(self, claimed)
        if plan.kind == "poison" or (plan.kind == "poison-once" and plan.runs == 1):
            self.supervisor.child_dies(self)
        yield Pause(plan.duration_s)
        world.runs.ended(self, claimed)
        letter = b"F" if plan.kind.endswith("fail") else b"K"
        self._add(claimed, letter, b"%s|%s|%s|%d" % (letter, claimed.task_id, self.holder, plan.runs))

    def _park(self, claimed: Claimed) -> None:
        """Leave a message to another build, or give it up after the grace."""
        until_ms = int(claimed.record[74:86], 16)
        if until_ms and self.process.now_ms() >= until_ms:
            self._add(claimed, b"D", b"D|%s|unknown" % claimed.task_id)
        else:
            self._add(claimed, b"S", b"%d" % (self.process.now_ms() + int(GRACE_S * 1000)))

    def _fetch(self, claimed: Claimed, function: bytes) -> Steps[None]:
        key = keys.function(self.session.prefix, function.decode())
        for _ in range(50):
            (reply,) = yield [Call(None, self.session.prefix, (b"GET", key))]
            if isinstance(reply, bytes):
                return
            if reply is None:
                self.world.runs.function_is_missing(claimed, function)
                return
            yield Pause(0.05)

    def _add(self, claimed: Claimed, letter: bytes, outcome: bytes) -> None:
        self.entries += (claimed.task_id, claimed.token, letter, outcome)

    def _flush(self) -> Steps[None]:
        entries, self.entries = self.entries, []
        while True:
            try:
                verdicts = yield from commit(
                    self.session, self.holder, self.build, (), entries, patience_s=PATIENCE_S
                )
            except NodeUnavailable:
                continue
            self._judge(entries, verdicts)
            return

    def _judge(self, entries: list[bytes], verdicts: bytes) -> None:
        for at, verdict in enumerate(verdicts):
            task_id, token, letter, outcome = entries[4 * at : 4 * at + 4]
            if verdict in (DONE, REPEATED) and letter in (b"K", b"F", b"D"):
                self.world.moves.heard_committed(task_id, token, outcome)

    def _give_back(self, position: int) -> Steps[None]:
        while True:
            try:
                yield from recall(self.session, self.holder, self.sequence, position, patience_s=PATIENCE_S)
            except NodeUnavailable:
                # the claim may not be called done before, or nobody would hold what it still has
                continue
            return

    def _sleep(self) -> Steps[list[Claimed]]:
        world = self.world
        if world.time.now_s >= self.compare_at_s:
            self.compare_at_s = world.time.now_s + COMPARE_S
            yield from self._compare()
        wake_key = keys.wake(self.session.prefix, self.holder)
        (reply,) = yield [Call(None, self.session.prefix, (b"BLPOP", wake_key, b"%g" % LOOK_S), LOOK_S)]
        if reply is None:
            return []
        if not isinstance(reply, list):
            yield Pause(0.05)
            return []
        handed = handed_off(reply[1])
        if handed is None or handed[0] != self.sequence + 1:
            return []
        self.sequence += 1
        return [handed[1]]

    def _compare(self) -> Steps[None]:
        try:
            found = yield from held(self.session, self.holder, patience_s=PATIENCE_S)
            for sequence in sorted({row[0] for row in found} - {self.sequence + 1}):
                yield from recall(self.session, self.holder, sequence, 0, patience_s=PATIENCE_S)
        except NodeUnavailable:
            return


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
        child = Child(self, self.numbers)
        self.children.append(child)
        child.begin()

    def _child_ended(self, child: Child, note: tuple[int, int, int, float]) -> None:
        if child not in self.children:
            return
        self.children.remove(child)
        life = self._life

        def replace(_: None) -> None:
            if life == self._life and not self._retired:
                self.process.after(0.05, self._hire)

        self.process.start(self._bury_child(child, note), replace)

    def _bury_child(self, child: Child, note: tuple[int, int, int, float] | None) -> Steps[None]:
        while True:
            if child.holder[:16] != self.incarnation:
                return  # declared dead meanwhile: others put back what it held
            try:
                yield from self._child_died(child.holder, note, singly=False)
            except NodeUnavailable:
                continue
            return

    def _child_died(
        self, holder: bytes, note: tuple[int, int, int, float] | None, *, singly: bool
    ) -> Steps[None]:
        charge, by = None, self.incarnation
        if note is not None and note[1]:
            found = yield from held(self.session, holder, patience_s=PATIENCE_S)
            for sequence, position, task_id, head in found:
                if (sequence, position) == note[:2]:
                    charge = self._charge(task_id.encode(), head)
        yield from reap(self.session, holder, by, self.world.queues, charge, singly=singly)

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
        watch = Watch(LEASE_TTL_S, BEAT_S)
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

    def _look_at_others(self, watch: Watch) -> Steps[None]:
        beats = yield from beat(self.session, self.incarnation, patience_s=PATIENCE_S)
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
            yield from unpark(self.session, self.build)
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
