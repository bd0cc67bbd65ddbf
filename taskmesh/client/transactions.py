"""What operators see of transactions: those that are known, and how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmesh.consensus.listing import names
from taskmesh.coordination.means import Means
from taskmesh.coordination.transaction import PREFIX, TransactionState, read_transaction, whose
from taskmesh.core.steps import GroupSteps

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """How far a transaction is.

    Attributes:
        id: Of it.
        state: `committed`, and not all of it is done; `done`; or `aborted`.
        at_ms: When it came to be so, Unix time; of one that is committed, when it was decided.
        by: Who decided it: host and process.
        messages: How many it sends.
        files: How many it writes or deletes.
        locks: How many it gives back.
        task_ids: Ids of its messages; empty until it is done.
    """

    id: str
    state: str
    at_ms: int
    by: str
    messages: int
    files: int
    locks: int
    task_ids: tuple[str, ...]


def transaction_statuses(coordinator: Coordinator) -> list[TransactionStatus]:
    """Return the transactions that are decided and still known, the oldest first.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    return coordinator.conversing.run(_statuses(coordinator.means))


def _statuses(means: Means) -> GroupSteps[list[TransactionStatus]]:
    registers = [name for name in (yield from names(means.registers, PREFIX)) if whose(name)[1] is None]
    found = yield from means.registers.read_many(registers)
    states = {name: read_transaction(found[name]) for name in registers}
    statuses = [_status(whose(name)[0], state) for name, state in states.items() if state is not None]
    return sorted(statuses, key=lambda status: (status.at_ms, status.id))


def _status(transaction: str, state: TransactionState) -> TransactionStatus:
    return TransactionStatus(
        transaction,
        state.phase,
        state.at_ms,
        state.by,
        state.messages,
        state.files,
        state.releases,
        state.ids,
    )
