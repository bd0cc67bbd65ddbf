"""What operators see of locks, semaphores and elections, and how they break them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmesh.consensus.listing import names
from taskmesh.coordination.acquire import break_open, look
from taskmesh.coordination.line import Line
from taskmesh.coordination.means import Means, WaitingSteps
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator

KINDS = ("lock", "semaphore", "election")


@dataclass(frozen=True, slots=True)
class Held:
    """One who holds or waits.

    Attributes:
        owner: Who it is: host and process, if nothing else.
        mode: `exclusive`, `shared` or `permit`.
        token: Of a holder; 0 of one who waits.
        lost: Whether its process vanished: nobody has it until its lock-delay is over.
    """

    owner: str
    mode: str
    token: int = 0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class LockStatus:
    """Who holds a lock, a semaphore or an election, and who waits for it.

    Attributes:
        kind: `lock`, `semaphore` or `election`.
        name: Its name.
        permits: How many may hold it at once; 1 of a lock, which any number may share.
        holders: They hold.
        waiting: They wait, the longest first.
    """

    kind: str
    name: str
    permits: int
    holders: tuple[Held, ...]
    waiting: tuple[Held, ...]


def lock_statuses(coordinator: Coordinator) -> list[LockStatus]:
    """Return all that is held or waited for, sorted by kind and name.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    return coordinator.conversing.run(_statuses(coordinator.means))


def _statuses(means: Means) -> WaitingSteps[list[LockStatus]]:
    statuses = []
    for kind in KINDS:
        registers = yield from names(means.registers, f"{kind}/")
        lines = yield from look(means, registers)
        statuses += [
            _status(kind, register.partition("/")[2], line)
            for register, line in lines.items()
            if line.holders or line.waiters
        ]
    return statuses


def _status(kind: str, name: str, line: Line) -> LockStatus:
    return LockStatus(
        kind,
        name,
        line.limit,
        tuple(Held(entry.owner, entry.mode, entry.token, entry.is_lost) for entry in line.holders),
        tuple(Held(entry.owner, entry.mode) for entry in line.waiters),
    )


def break_lock(coordinator: Coordinator, kind: str, name: str, *, delay: bool) -> int:
    """Take it away from all who hold it, and return how many did.

    Raises:
        UsageError: There is no such kind.
        AgreementError: It may still be held.
    """
    if kind not in KINDS:
        raise UsageError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")
    steps = break_open(coordinator.means, f"{kind}/{name}", None if delay else 0)
    return coordinator.conversing.run(steps)
