"""The leader's look at transactions: what was decided is done, what never was is dropped, what is old is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from taskmesh.consensus.listing import anew, changes
from taskmesh.coordination.committing import Completed, TransactionSteps, complete
from taskmesh.coordination.means import Means
from taskmesh.coordination.transaction import (
    COMMITTED,
    PREFIX,
    TransactionState,
    aborted,
    read_transaction,
    register_of,
    whose,
)
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import AgreementError, NodeUnavailable, TrustError

#: Who decides completes as well; others wait for so long after the decision.
OTHERS_MS = 2000
#: So long is a transaction prepared at most; then its parts are dropped.
PREPARED_S_MAX = 60.0
#: So long is a transaction known after its end.
KNOWN_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What a look led to.

    Attributes:
        completed: Transactions that were not done, with what was done now.
        given_up: Transactions of which an attempt was never decided.
        failed: Transactions that could not be seen to now, with the reason.
    """

    completed: dict[str, Completed] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class TransactionSweep:
    """Looks now and then. Belongs to one who does.

    Attributes:
        since: Up to what registers have been heard of.
        known: Registers of transactions that exist.
        prepared_s: When each attempt was first seen, by its transaction.
    """

    since: Mapping[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    prepared_s: dict[tuple[str, bytes], float] = field(default_factory=dict)

    def run(
        self, means: Means, now_ms: Callable[[], int], leads: Callable[[], bool] = lambda: True
    ) -> TransactionSteps[Swept]:
        """See to all transactions.

        Args:
            means: Of this process.
            now_ms: The mesh's clock.
            leads: Whether to go on.

        Raises:
            AgreementError: It could not be found out which there are.
        """
        yield from self._hear(means)
        parts: dict[tuple[str, bytes], set[str]] = {}
        for name in self.known:
            transaction, attempt = whose(name)
            if attempt is not None:
                parts.setdefault((transaction, attempt), set()).add(name)
        self._note(parts, means.now_s())
        transactions = sorted({whose(name)[0] for name in self.known})
        found = yield from means.registers.read_many([register_of(each) for each in transactions])
        swept = Swept()
        for transaction in transactions:
            if not leads():
                break
            own = {attempt: names for (whom, attempt), names in parts.items() if whom == transaction}
            try:
                state = read_transaction(found[register_of(transaction)])
                yield from self._see_to(means, transaction, state, own, now_ms, swept)
            except (AgreementError, NodeUnavailable, TrustError) as error:
                # others can be seen to, perhaps
                swept.failed[transaction] = str(error)
        return swept

    def _hear(self, means: Means) -> GroupSteps[None]:
        told, since = yield from changes(means.registers, self.since, PREFIX)
        if anew(self.since, since):
            self.known.clear()
        found = yield from means.registers.read_many(sorted(told))
        there = {name for name, each in found.items() if each.content is not None}
        self.known = (self.known - told) | there
        self.since = since

    def _note(self, attempts: Iterable[tuple[str, bytes]], now_s: float) -> None:
        self.prepared_s = {each: self.prepared_s.get(each, now_s) for each in attempts}

    def _see_to(
        self,
        means: Means,
        transaction: str,
        state: TransactionState | None,
        attempts: dict[bytes, set[str]],
        now_ms: Callable[[], int],
        swept: Swept,
    ) -> TransactionSteps[None]:
        age_ms = 0 if state is None else now_ms() - state.at_ms
        is_open = state is not None and state.phase == COMMITTED
        if is_open and age_ms >= OTHERS_MS:
            swept.completed[transaction] = yield from complete(means, transaction, now_ms)
        for attempt, names in attempts.items():
            if is_open and state is not None and state.attempt == attempt:
                continue
            if means.now_s() - self.prepared_s[transaction, attempt] < PREPARED_S_MAX:
                continue
            yield from self._give_up(means, transaction, attempt, names, now_ms(), swept)
        if state is not None and not is_open and age_ms >= KNOWN_MS:
            yield from means.registers.delete(register_of(transaction), means.operation())
            self.known.discard(register_of(transaction))

    def _give_up(
        self, means: Means, transaction: str, attempt: bytes, names: set[str], at_ms: int, swept: Swept
    ) -> GroupSteps[None]:
        """Drop the parts of an attempt, which is not decided; first see to it that it never is."""
        name = register_of(transaction)
        changed = yield from means.registers.change(name, aborted(attempt, at_ms), means.operation())
        if not changed.answer:
            found = yield from means.registers.read(name)
            state = read_transaction(found)
            if state is not None and state.phase == COMMITTED and state.attempt == attempt:
                return
        else:
            self.known.add(name)
            swept.given_up.append(transaction)
        for part in sorted(names):
            yield from means.registers.delete(part, means.operation())
            self.known.discard(part)
