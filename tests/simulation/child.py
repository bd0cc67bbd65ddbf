"""Children of workers: they claim, run and commit as `taskmesh.worker.child` does, over the same protocols.

What is not simulated is what has no part in the protocols: pickles, signals, the outbox's thread. The page that a
child shares with its supervisor is two attributes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.record import REVOKE_REQUESTED, parse
from taskmesh.core.steps import Call, Pause, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.claim import Claimed, handed_off, held, recall
from taskmesh.queue.commit import DONE, REPEATED, REQUEUED, SNOOZED, commit, retried
from taskmesh.queue.rate import ask_start
from taskmesh.queue.telling import note_telling
from taskmesh.queue.turn import turn
from taskmesh.testing.simulated_driver import SimulatedProcess
from tests.simulation.picking import Picking

if TYPE_CHECKING:
    from tests.simulation.ledger import Plan
    from tests.simulation.supervisor import Supervisor

LOOK_S = 1.0
LOOK_S_MIN = 0.002
COMPARE_S = 3.0
PATIENCE_S = 1.5
#: A message that takes longer is not begun before what is finished has left.
TINY_S = 0.005
#: The hard limit of those that have one.
HARD_LIMIT_S = 0.4
#: How long a message may wait for a build that knows it.
GRACE_S = 1.5
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
        # the page: sequence, position, how many, since when; the sequence that is taken back; the claim in which
        # a run is about to be ended. And whether it is certain that it will be
        self.note = (0, NOTHING, 0, 0.0)
        self.recalled = -1
        self.condemned = -1
        self.is_sentenced = False
        self.batch: list[Claimed] = []
        self.entries: list[bytes] = []
        self.done: list[tuple[int, bytes]] = []
        self.sequence = 0
        self.idle = False
        self.next_due_ms = 0
        self.picking = Picking(self)
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
        asked_s = self.world.time.now_s
        queues = yield from self.picking.order(asked_s)
        entries, self.entries = self.entries, []
        done, self.done = self.done, []
        most = self._most()
        while True:
            try:
                verdicts, claimed = yield from turn(
                    self.session,
                    self.holder,
                    self.build,
                    done,
                    entries,
                    self.sequence + 1,
                    most,
                    queues,
                    idle=self.idle,
                    patience_s=PATIENCE_S,
                )
            except NodeUnavailable:
                continue  # both halves may be repeated as they are
            except NodeFault as error:
                said = str(error.__dict__.get("text", ""))
                if said != f"OLDSEQUENCE {self.sequence + 2:08x}":
                    raise
                # the answer to an empty claim was lost, and a message was handed over since: ask for that one
                self.sequence += 1
                continue
            self.sequence += 1
            self.idle = not claimed
            self.next_due_ms = claimed.next_due_ms
            self.picking.claimed(claimed, most, asked_s)
            self._judge(entries, verdicts)
            return claimed

    def _most(self) -> int:
        """Return how many messages to claim."""
        return self.world.random.randint(1, self.world.rates.most_max)

    def noted(self) -> Claimed | None:
        """Return the message that the page names."""
        return self.batch[self.note[1] - 1] if self.note[1] else None

    def _run_claim(self, batch: list[Claimed]) -> Steps[None]:
        sequence, total, world = self.sequence, len(batch), self.world
        self.batch = batch
        ran = 0
        for position in range(1, total + 1):
            self._look_busy(sequence, position, total)
            if self.recalled == sequence:
                self.note = (sequence, NOTHING, total, 0.0)
                yield from self._give_back(position - 1)
                break
            yield from self._run(batch[position - 1])
            ran = position
            if self.entries and position < total and world.random.random() < 0.3:
                yield from self._flush()
        self.note = (sequence, NOTHING, 0, 0.0)
        self.picking.given_back(batch[ran:])
        while self.condemned == sequence:
            yield Pause(0.001)
        self.batch = []
        self.done.append((sequence, batch[0].epoch))

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
        if plan.expires_ms and self.process.now_ms() >= plan.expires_ms:
            self._add(claimed, b"X", b"X|%s|%s" % (claimed.task_id, self.holder))
            return
        if int(claimed.record[61:62], 16) & REVOKE_REQUESTED:
            self._add(claimed, b"V", b"V|%s|%s" % (claimed.task_id, self.holder))
            return
        if plan.duration_s >= TINY_S and self.entries:
            yield from self._flush()
        if plan.kind.startswith("value"):
            yield from self._fetch(claimed, plan.function)
        if due_ms := (yield from self._wait_for_start(plan)):
            self._add(claimed, SNOOZED, b"%d" % due_ms)
            return
        plan.runs += 1
        world.runs.began(self, claimed)
        world.starts.began(self, plan)
        if plan.kind == "poison" or (plan.kind == "poison-once" and plan.runs == 1):
            self.supervisor.child_dies(self)
        if plan.kind == "overdue":
            self.supervisor.note_deadline(self, self.run_of(claimed), HARD_LIMIT_S)
        if plan.runs % 2:
            self._tell(claimed)
        yield Pause(plan.duration_s)
        world.runs.ended(self, claimed)
        if self._goes_on(claimed, plan):
            return
        letter = b"F" if plan.kind.endswith("fail") else b"K"
        self._add(claimed, letter, b"%s|%s|%s|%d" % (letter, claimed.task_id, self.holder, plan.runs))

    def _wait_for_start(self, plan: Plan) -> Steps[int]:
        """Return when a message of a limited task is to come back (ms), or 0 if it may start now."""
        if plan.limited is None:
            return 0
        rate, task_id = self.world.rates.limits[plan.limited], plan.task_id.decode()
        while True:
            try:
                start = yield from ask_start(self.session, plan.limited, rate, task_id, patience_s=PATIENCE_S)
            except NodeUnavailable:
                continue
            if not start.granted:
                return math.ceil(start.moment_ms)
            # the answer may have been long on its way
            if self.process.now_ms() <= start.latest_ms:
                return 0

    def _goes_on(self, claimed: Claimed, plan: Plan) -> bool:
        """Let a message run again that asks for it, and tell whether it does."""
        due_ms = self.process.now_ms() + self.world.random.choice([0, 5, 300, 2500])
        if plan.kind in ("retry", "change"):
            attempts = parse(claimed.record).outcome.count(b"+")
            if attempts >= plan.again:
                return False
            history = b"Y|%s|%s" % (claimed.task_id, b"+" * (attempts + 1))
            if plan.kind == "retry":
                self._add(claimed, b"Y", retried(due_ms, history))
                return True
            envelope = b"envelope %d of %s" % (attempts, claimed.task_id)
            queue = self.world.random.choice([b"", *self.world.queues]).decode()
            priority = self.world.random.choice([None, 0, 9])
            self._add(claimed, b"Y", retried(due_ms, history, envelope, queue=queue, priority=priority))
            return True
        if plan.kind in ("snooze", "requeue") and plan.runs <= plan.again:
            if plan.kind == "snooze":
                self._add(claimed, SNOOZED, b"%d" % due_ms)
            else:
                self._add(claimed, REQUEUED, b"")
            return True
        return False

    def run_of(self, claimed: Claimed) -> tuple[int, int]:
        """Return the claim and the position in it of a message that runs."""
        return self.note[:2]

    def is_in(self, run: tuple[int, int]) -> bool:
        """Tell whether it runs that now."""
        return self.note[:2] == run

    def is_elsewhere(self, run: tuple[int, int]) -> bool:
        """Tell whether it runs something else now, so that it may not be ended for that run."""
        return self.note[1] != NOTHING and not self.is_in(run)

    def _tell(self, claimed: Claimed) -> None:
        """Report now, and once more in a while, when the run may be over."""
        token = claimed.token.decode()
        wire = b"R|%s|%s" % (claimed.task_id, claimed.token)
        for later_s in (0.0, self.world.random.uniform(0, 2)):
            self.process.start(self._report(claimed.task_id.decode(), token, wire, later_s))

    def _report(self, task_id: str, token: str, wire: bytes, later_s: float) -> Steps[None]:
        yield Pause(later_s)
        try:
            yield from note_telling(self.session, task_id, token, wire)
        except NodeUnavailable:
            return

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
            if verdict in (DONE, REPEATED) and letter in (b"K", b"F", b"X", b"D", b"V"):
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
        yield from self._compare_now_and_then()
        wake_key = keys.wake(self.session.prefix, self.holder)
        wait_s = self._patience_s()
        (reply,) = yield [Call(None, self.session.prefix, (b"BLPOP", wake_key, b"%g" % wait_s), wait_s)]
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

    def _patience_s(self) -> float:
        """Return how long to wait for a wake-up: nobody wakes a child for a message whose time has come."""
        if not self.next_due_ms:
            return LOOK_S
        return min(LOOK_S, max(LOOK_S_MIN, (self.next_due_ms - self.process.now_ms()) / 1000))

    def _compare_now_and_then(self) -> Steps[None]:
        if self.world.time.now_s >= self.compare_at_s:
            self.compare_at_s = self.world.time.now_s + COMPARE_S
            yield from self._compare()

    def _compare(self) -> Steps[None]:
        try:
            found = yield from held(self.session, self.holder, patience_s=PATIENCE_S)
            for sequence in sorted({row[0] for row in found} - {self.sequence + 1}):
                yield from recall(self.session, self.holder, sequence, 0, patience_s=PATIENCE_S)
        except NodeUnavailable:
            return
