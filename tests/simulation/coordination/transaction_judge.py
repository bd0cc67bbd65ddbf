"""What must hold of transactions, looked at with each effect that any of them has, and at the end.

T1: nothing is done of what is not decided. T2: of what is done all is, when it is said to be done and in the end. T3:
an id is decided once, for one content, and stays so. T4: what a client was told is so: what he was told is aborted is
never decided. T5: each thing is done once, also when others have written or locked since what a transaction wrote or
gave back. T6: in the end nothing is open, and no part of what never was decided is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from taskmesh.consensus.registers import Versioned
from taskmesh.consensus.value import OPERATIONS_MAX
from taskmesh.coordination.file_state import PREFIX as FILE
from taskmesh.coordination.file_state import read_file_state
from taskmesh.coordination.line import read_line
from taskmesh.coordination.transaction import (
    ABORTED,
    COMMITTED,
    DONE,
    PREFIX,
    TransactionState,
    has_bit,
    operation_of,
    read_transaction,
    register_of,
)
from taskmesh.coordination.transaction_sweep import PREPARED_S_MAX
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.chain import Chosen
from tests.simulation.coordination.deliveries import LOOKED_S, REMEMBER_S

if TYPE_CHECKING:
    from tests.simulation.coordination.peers import Peer
    from tests.simulation.coordination.world import CoordinationWorld

SHARED = "shared"
LOCK = "lock/"
#: Which of its changes are which.
OWN_AT, SHARED_AT = 0, 1


#: How long it takes at most, without faults, to note that a message is recorded.
NOTE_S_MAX = 2.0


@dataclass(slots=True)
class Try:
    """One attempt at a transaction.

    Attributes:
        attempt: Its id.
        digest: Of what it wants.
        is_locked: Whether it has a lock to give back.
        is_locked_again: Whether that was taken again after it was given back.
        is_aborted: Whether somebody was told that it is not decided, and never will be.
        is_committed: Whether somebody was told that it is decided.
        is_undone: Whether it was decided too late, when it had been given up.
    """

    attempt: bytes
    digest: bytes
    is_locked: bool = False
    is_locked_again: bool = False
    is_aborted: bool = False
    is_committed: bool = False
    is_undone: bool = False

    @property
    def mark(self) -> bytes:
        """What its files begin with."""
        return self.attempt.hex().encode()


@dataclass(slots=True)
class Plan:
    """What all attempts at a transaction have in common.

    Attributes:
        id: Its id.
        parts: How large it is.
        messages: How many it sends.
        tries: All attempts, by their ids.
        surely, perhaps: How often its own file was written besides.
        sent_s: When it was agreed that a message is recorded.
    """

    id: str
    parts: int
    messages: int
    tries: dict[bytes, Try] = field(default_factory=dict)
    surely: int = 0
    perhaps: int = 0
    sent_s: dict[bytes, float] = field(default_factory=dict)

    @property
    def own(self) -> str:
        """The file that nobody else writes before."""
        return f"own/{self.id}"

    def lock(self, one: Try) -> str:
        """Return the register of the lock that a try gives back."""
        return f"{LOCK}{self.id}/{one.attempt.hex()}"

    def ids(self, one: Try) -> list[bytes]:
        """Return the ids of a try's messages."""
        return [b"%s/%s/%d" % (self.id.encode(), one.mark, at) for at in range(self.messages)]


class TransactionJudge:
    """What must hold.

    Attributes:
        plans: Those that every client may run.
        tokens: The last that was given.
        ended: How often each end was reached, for a test that all are.
    """

    watches = False
    prefix = ""
    quiet_s = PREPARED_S_MAX + 40.0

    def __init__(self, world: CoordinationWorld) -> None:
        self.world = world
        self.tokens = 0
        self.ended: dict[str, int] = {}
        self._looking: set[Peer] = set()
        world.queue.told = self._recorded
        self._written: dict[bytes, int] = {}
        self._all: dict[str, Plan] = {}
        self._random = Random(f"transactions {world.seed}")
        world.queue.fills = self._random.random() < 0.4
        self.plans: list[Plan] = []
        for _ in range(self._random.randrange(2, 6)):
            self.one_more(is_shared=True, sizes=(0, 0, 1, 2))

    def one_more(self, *, is_shared: bool, sizes: Sequence[int] = (1, 2)) -> Plan:
        """Return one more transaction, of one of these sizes, which others may run as well if it is shared."""
        plan = Plan(f"t{len(self._all)}", self._random.choice(sizes), self._random.randrange(1, 4))
        self._all[plan.id] = plan
        if is_shared:
            self.plans.append(plan)
        return plan

    def now_ms(self) -> int:
        """Return the clock of the mesh."""
        return round(self.world.now_s * 1000)

    def was_told(self, peer: Peer, path: str, before: int, version: int) -> None:
        """Nobody watches."""

    # -- what is chosen -------------------------------------------------------------------

    def chosen(self, name: str, before: Chosen | None, after: Chosen) -> None:
        """See that what was chosen may be."""
        if name.startswith(PREFIX) and name.count("/") == 1:
            self._decided(self._plan_of(name.removeprefix(PREFIX)), _state(before), _state(after))
        elif name.startswith(FILE):
            self._file(name, before, after)
        elif name.startswith(LOCK) and _holders(before) and not _holders(after):
            _, transaction, attempt = name.split("/")
            self._is_decided(self._plan_of(transaction), bytes.fromhex(attempt), f"{name} is given back")

    def _decided(self, plan: Plan, old: TransactionState | None, new: TransactionState | None) -> None:
        if new is None:
            raise BrokenPromise(f"T3: {plan.id} is forgotten before its time")
        was, now = old.phase if old is not None else "", new.phase
        if was != now:
            self.ended[now] = self.ended.get(now, 0) + 1
        if was in (COMMITTED, DONE) and old is not None and new.attempt != old.attempt:
            raise BrokenPromise(f"T3: {plan.id} was decided as {old.attempt!r}, and now as {new.attempt!r}")
        if was == DONE and now != DONE:
            raise BrokenPromise(f"T3: {plan.id} was done, and is {now}")
        if now == COMMITTED and plan.tries[new.attempt].is_aborted:
            raise BrokenPromise(f"T4: {plan.id}: {new.attempt!r} was told to be aborted, and is decided")
        if was == COMMITTED and now == ABORTED:
            plan.tries[new.attempt].is_undone = True
            if self._effects(plan, plan.tries[new.attempt]):
                raise BrokenPromise(f"T2: {plan.id} is undone, and some of it was done")
        if now == DONE and was != DONE:
            self._is_all_done(plan, plan.tries[new.attempt])
        for at, each in enumerate(plan.ids(plan.tries[new.attempt])) if now in (COMMITTED, DONE) else ():
            if now == DONE or has_bit(new.sent, at):
                plan.sent_s.setdefault(each, self.world.now_s)

    def _file(self, name: str, before: Chosen | None, after: Chosen) -> None:
        old, new = read_file_state(_held(before)).data, read_file_state(_held(after)).data
        mark = _mark(new)
        if mark is None or mark == _mark(old):
            return
        plan = next(plan for plan in self._all.values() if bytes.fromhex(mark.decode()) in plan.tries)
        self._is_decided(plan, bytes.fromhex(mark.decode()), f"{name} is written")
        if name == FILE + SHARED:
            times = self._written[mark] = self._written.get(mark, 0) + 1
            if times > 1:
                raise BrokenPromise(f"T5: {plan.id} has written {name} {times} times")

    def _recorded(self, task_id: bytes, ago_s: float | None) -> None:
        """A message is recorded; once more is allowed only if nobody could note in time that it was."""
        transaction, mark, _ = task_id.split(b"/")
        plan = self._plan_of(transaction.decode())
        self._is_decided(plan, bytes.fromhex(mark.decode()), f"{task_id!r} is recorded")
        if ago_s is None:
            return
        now_s = self.world.now_s
        heard_s = self.world.queue.heard_s.get(task_id, now_s)
        noted_s = plan.sent_s.get(task_id, min(heard_s + NOTE_S_MAX, now_s))
        if noted_s < now_s - ago_s + REMEMBER_S - LOOKED_S:
            raise BrokenPromise(
                f"T5: {task_id!r} is recorded again {ago_s:.1f} s later; it was noted at {noted_s:.1f} s"
            )
        self.ended["forgotten"] = self.ended.get("forgotten", 0) + 1

    def _is_decided(self, plan: Plan, attempt: bytes, what: str) -> None:
        state = self._state_of(plan)
        if state is None or state.phase not in (COMMITTED, DONE) or state.attempt != attempt:
            raise BrokenPromise(f"T1: {what} for {attempt!r}, and {plan.id} is {state}")

    # -- what was done --------------------------------------------------------------------

    def _effects(self, plan: Plan, one: Try) -> dict[str, bool]:
        """Return what of a try is done, of all that it does; nothing if none of it is."""
        chains, queue = self.world.chains, self.world.queue
        done = {each.decode(): bool(queue.times.get(each)) for each in plan.ids(one)}
        for at, path in ((OWN_AT, plan.own), (SHARED_AT, SHARED)):
            done[path] = operation_of(plan.id, one.attempt, at) in chains.of(FILE + path).versions
        if one.is_locked:
            done["lock"] = read_line(self.world.content(plan.lock(one))).holder(one.attempt) is None
        return done if any(done.values()) else {}

    def _is_all_done(self, plan: Plan, one: Try) -> None:
        done = self._effects(plan, one)
        missing = [what for what, is_done in done.items() if not is_done]
        # so much was written since that nobody can tell any more whether this was
        if missing == [SHARED] and len(self.world.chains.of(FILE + SHARED).versions) > OPERATIONS_MAX:
            missing = []
        if missing or not done:
            raise BrokenPromise(
                f"T2: {plan.id} is said to be done, and {missing or 'nothing'} is not: {done}"
            )

    def _state_of(self, plan: Plan) -> TransactionState | None:
        return read_transaction(Versioned(1, self.world.content(register_of(plan.id))))

    def _plan_of(self, transaction: str) -> Plan:
        return self._all[transaction]

    # -- what clients were told -----------------------------------------------------------

    def heard_aborted(self, plan: Plan, one: Try) -> None:
        """A client was told that nothing was done, and nothing will be."""
        one.is_aborted = True
        self._count("told aborted")
        state = self._state_of(plan)
        if state is not None and state.phase != ABORTED and state.attempt == one.attempt:
            raise BrokenPromise(f"T4: {plan.id}: {one.attempt!r} is told to be aborted, and is {state.phase}")

    def heard_conflict(self, plan: Plan, one: Try) -> None:
        """A client was told that its id was decided for something else."""
        self._count("told of a conflict")
        state = self._state_of(plan)
        if state is None or plan.tries[state.attempt].digest == one.digest:
            raise BrokenPromise(f"T4: {plan.id} is told to be decided for something else, and is {state}")

    def heard_committed(self, plan: Plan, one: Try, *, is_own: bool) -> None:
        """A client was told that this attempt is decided, or another one with the same content."""
        self._count("told committed" if is_own else "told that another is")
        state = self._state_of(plan)
        if state is None or (is_own and state.attempt != one.attempt and not one.is_undone):
            raise BrokenPromise(f"T4: {plan.id}: {one.attempt!r} is told to be decided; it is {state}")
        if not is_own and plan.tries[state.attempt].digest != one.digest:
            raise BrokenPromise(f"T3: {plan.id}: of {one.attempt!r} it is told that {state} is the same")
        one.is_committed = is_own

    def heard_undone(self, plan: Plan) -> None:
        """A client was told that it was decided too late, so that nothing of it is done."""
        self._count("told that it is undone")
        if not any(one.is_undone for one in plan.tries.values()):
            raise BrokenPromise(f"T4: {plan.id} is told to be undone, and never was")

    def heard_done(self, plan: Plan) -> None:
        """A client was told that all is done."""
        self._count("told done")
        state = self._state_of(plan)
        if state is None or state.phase != DONE:
            raise BrokenPromise(f"T4: {plan.id} is told to be done, and is {state}")

    def _count(self, what: str) -> None:
        self.ended[what] = self.ended.get(what, 0) + 1

    # -- at the end -----------------------------------------------------------------------

    def judge(self) -> None:
        """See that of each transaction all is done, once, or nothing."""
        for plan in self._all.values():
            state = self._state_of(plan)
            if state is not None and state.phase == COMMITTED:
                raise BrokenPromise(f"T6: {plan.id} was decided, and is not done: {state}")
            is_done = state is not None and state.phase == DONE
            for one in plan.tries.values():
                if is_done and state is not None and one.attempt == state.attempt:
                    self._is_all_done(plan, one)
                    self._is_done_once(plan, one)
                elif one.is_committed and not one.is_undone:
                    raise BrokenPromise(f"T4: {plan.id}: {one.attempt!r} was told to be decided: {state}")
                elif self._effects(plan, one):
                    raise BrokenPromise(
                        f"T1: {plan.id}: of {one.attempt!r} some is done: {self._effects(plan, one)}"
                    )
        left = [
            name
            for name in self.world.chains.names()
            if name.startswith(PREFIX) and name.count("/") > 1 and self.world.content(name) is not None
        ]
        if left:
            raise BrokenPromise(f"T6: parts are left: {left}")

    def _is_done_once(self, plan: Plan, one: Try) -> None:
        file = read_file_state(Versioned(1, self.world.content(FILE + plan.own)))
        if not 1 + plan.surely <= file.generation <= 1 + plan.surely + plan.perhaps:
            raise BrokenPromise(
                f"T5: {plan.own} was written {plan.surely} times besides, and is at {file.generation}"
            )
        if plan.surely and file.data != b"later":
            raise BrokenPromise(f"T5: what was written to {plan.own} later is gone: {_mark(file.data)!r}")
        if one.is_locked_again and not read_line(self.world.content(plan.lock(one))).holders:
            raise BrokenPromise(f"T5: {plan.lock(one)} was taken again, and given back by {plan.id}")


def _held(chosen: Chosen | None) -> Versioned:
    return Versioned(0, None) if chosen is None else Versioned(chosen.value.version, chosen.value.content)


def _holders(chosen: Chosen | None) -> int:
    return len(read_line(_held(chosen).content).holders)


def _state(chosen: Chosen | None) -> TransactionState | None:
    return read_transaction(_held(chosen))


def _mark(data: bytes | None) -> bytes | None:
    """Return whose a file's content is; None if it is no transaction's."""
    return None if data is None or data in (b"between", b"later") else data[:16]
