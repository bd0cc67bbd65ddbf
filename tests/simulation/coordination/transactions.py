"""Transactions: what clients do, while leaders, more than one of them, look after what was decided.

A client stops or dies at any step, and another runs the same once more by its id. What must hold stands in
`transaction_judge`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.coordination.committing import Deliver, Wanted, commit, complete
from taskmesh.coordination.file import Writing, write
from taskmesh.coordination.line import EXCLUSIVE, Entry, join, take
from taskmesh.coordination.means import Means
from taskmesh.coordination.transaction import (
    ABORTED,
    ATTEMPT_SIZE,
    DONE,
    INLINE_SIZE_MAX,
    Doing,
    FileChange,
    Outgoing,
    Release,
)
from taskmesh.coordination.transaction_sweep import PREPARED_S_MAX, TransactionSweep
from taskmesh.core.steps import Pause
from taskmesh.errors import (
    AgreementError,
    ChangeUnknown,
    NodeUnavailable,
    TransactionAborted,
    TransactionConflict,
    TransactionUnknown,
)
from tests.simulation.agreement.clients import Steps
from tests.simulation.coordination.transaction_judge import SHARED, Plan, TransactionJudge, Try
from tests.simulation.coordination.world import CoordinationWorld

if TYPE_CHECKING:
    from tests.simulation.coordination.peers import Peer

#: How often somebody stops between two steps.
TORN = 0.03
#: How often somebody stops once for so long that he is given up, and at which of his first steps.
SLOW, SLOW_STEPS = 0.15, 10
#: How often a leader looks; in the end more seldom.
LOOK_S, CALM_LOOK_S = 2.0, 15.0
#: What a try waits for acceptors that stops in between.
PATIENT_S = 1000.0


class Transactor:
    """A client that runs transactions."""

    def __init__(self, peer: Peer, judge: Judged) -> None:
        self.peer = peer
        self.judge = judge
        self.world = peer.world
        self.random = peer.world.random
        self._patient = peer.means_of(PATIENT_S)

    def work(self) -> Steps:
        """Run some, others' as well; in the end one for certain."""
        for _ in range(self.world.rates.changes):
            yield Pause(self.random.random() * self.world.rates.long_s / 2)
            if self.world.faulty:
                yield from self._share()
                if self.random.random() < SLOW:
                    yield from self._run_slowly()
                else:
                    yield from self._run(self.random.choice(self.judge.plans))
        plan = self.random.choice(self.judge.plans)
        while not (yield from self._run(plan)):
            yield Pause(0.3)

    def _share(self) -> Steps:
        """Write what transactions write as well."""
        try:
            yield from write(self.peer.means, Writing(SHARED, b"between"))
        except AgreementError:
            return

    def _run_slowly(self) -> Steps:
        """Run one that is prepared for so long that it is given up, while others may run it as well."""
        plan = self.judge.one_more(is_shared=self.random.random() < 0.3)
        yield from self._run(plan, self._patient, self.random.randrange(SLOW_STEPS))

    def _run(self, plan: Plan, means: Means | None = None, stops_at: int = -1) -> Steps:
        """Run a transaction once; tell whether it is known what became of it."""
        means = means or self.peer.means
        one = yield from self._begun(means, plan)
        wanted = Wanted(plan.id, one.attempt, _doing(plan, one), one.digest, self.peer.name)
        try:
            is_own = yield from self._torn(commit(means, wanted, self.judge.now_ms), stops_at)
        except TransactionUnknown:
            return False
        except TransactionConflict:
            self.judge.heard_conflict(plan, one)
            return True
        except TransactionAborted:
            self.judge.heard_aborted(plan, one)
            return False
        self.judge.heard_committed(plan, one, is_own=is_own)
        try:
            completed = yield from self._torn(complete(means, plan.id, self.judge.now_ms))
        except (AgreementError, NodeUnavailable):
            return True
        if completed.phase == ABORTED:
            self.judge.heard_undone(plan)
        elif completed.phase == DONE:
            self.judge.heard_done(plan)
            if is_own:
                yield from self._use_again(plan, one)
        return True

    def _begun(self, means: Means, plan: Plan) -> Steps:
        """Return one try, with a lock held that it is to give back."""
        digest = b"other" if self.random.random() < 0.1 else b"same"
        one = Try(self.random.getrandbits(64).to_bytes(ATTEMPT_SIZE, "big"), digest)
        plan.tries[one.attempt] = one
        if self.random.random() < 0.5:
            one.is_locked = yield from self._hold(means, plan, one, one.attempt)
        return one

    def _hold(self, means: Means, plan: Plan, one: Try, request: bytes) -> Steps:
        """Hold the lock of a try; tell whether that is certain."""
        lock, entry = plan.lock(one), Entry(request, self.peer.id + b"session", EXCLUSIVE, 0, self.peer.name)
        self.judge.tokens += 1
        try:
            for change in (join(lock, entry, 1), take(request, self.judge.tokens)):
                changed = yield from means.registers.change(lock, change, means.operation())
        except AgreementError:
            return False
        return changed.answer == b"held"

    def _use_again(self, plan: Plan, one: Try) -> Steps:
        """Hold and write once more what was given back and written: who completes it late is not to undo that."""
        if one.is_locked and self.random.random() < 0.5:
            one.is_locked_again = yield from self._hold(self.peer.means, plan, one, b"again")
        if self.random.random() < 0.5:
            plan.perhaps += 1
            try:
                yield from write(self.peer.means, Writing(plan.own, b"later"))
            except ChangeUnknown:
                return
            except AgreementError:
                plan.perhaps -= 1
                return
            plan.perhaps -= 1
            plan.surely += 1

    def sweep(self) -> Steps:
        """Look after all transactions, as whoever believes to lead."""
        sweep = TransactionSweep()
        while True:
            look_s = LOOK_S if self.world.faulty else CALM_LOOK_S
            yield Pause(self.random.random() * look_s)
            try:
                yield from self._torn(sweep.run(self.peer.means, self.judge.now_ms))
            except (AgreementError, NodeUnavailable):
                continue

    def _torn(self, steps: Steps, stops_at: int = -1) -> Steps:
        """Do something, stopped now and then between two steps, and for long at one."""
        replies: Any = None
        error: NodeUnavailable | None = None
        try:
            while True:
                try:
                    request = steps.send(replies) if error is None else steps.throw(error)
                except StopIteration as stop:
                    return stop.value
                if stops_at == 0:
                    yield Pause(PREPARED_S_MAX + self.random.random() * 10)
                elif self.world.faulty and self.random.random() < TORN:
                    yield Pause(self.random.random() * 5)
                stops_at -= 1
                replies = yield request
                error = replies[0] if type(request) is Deliver and _is_error(replies[0]) else None
        finally:
            steps.close()


class Judged(TransactionJudge):
    """Histories of transactions."""

    def client(self, peer: Peer) -> Transactor:
        """Return a client of a process; with the first, the process begins to look after what others decided."""
        client = Transactor(peer, self)
        if peer not in self._looking:
            self._looking.add(peer)
            self.world.start(peer, f"{peer.name} sweeps", client.sweep())
        return client


def _is_error(reply: Any) -> bool:
    return isinstance(reply, NodeUnavailable)


def _doing(plan: Plan, one: Try) -> Doing:
    mark = one.mark
    size = INLINE_SIZE_MAX * plan.parts
    return Doing(
        tuple(
            Outgoing(each, b"record", b"0000", b"default", b"4", b"", b"", b"", None)
            for each in plan.ids(one)
        ),
        {},
        (FileChange(plan.own, mark + b"." * size), FileChange(SHARED, mark)),
        (Release(plan.lock(one), one.attempt),) if one.is_locked else (),
    )


def transactions(world: CoordinationWorld) -> Judged:
    """Histories of transactions."""
    return Judged(world)
