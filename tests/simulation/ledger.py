"""What the outside world knows: which messages were sent, what was promised, what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskmesh.core import keys

PREFIX = keys.prefix("sim")
#: Where they stand among the keys of a message: digest of its idempotency key, and in whose place it is sent.
IDEMPOTENCY, INSTEAD = 3, 7


class Violation(AssertionError):
    """A promise of TaskMesh was broken."""


@dataclass(slots=True)
class Plan:
    """One message, and what happens when it is run.

    Attributes:
        task_id: Its id.
        kind: `ok`, `fail`; `overdue` runs until its hard limit is over, or a little less, `endless` until it is ended
            by terminate; `poison` kills each child that runs it, `poison-once` the first; `unknown` is known only to
            the second build; `value` and `value-fail` need their function on the node. `retry`, and `change` with
            other arguments each time and often elsewhere, are tried again after their first attempts; `snooze` waits
            and `requeue` goes back in line in its first runs.
        duration_s: How long a run takes.
        function: Content hash, for those that need one.
        record: The record as it was sent.
        expires_ms: Until when it may begin; 0 for ever.
        again: How many these first ones are.
        once: Whether it may begin only once.
        limited: The limited task that it is of; None for one without a limit.
        keys: Its keys, as `message_keys` returns them; None for none.
        runs: How often it was begun.
        blamable: How often a child died that was running it, or held nothing else.
        terminated: Whether somebody has tried to revoke it with terminate.
    """

    task_id: bytes
    kind: str
    duration_s: float
    function: bytes
    record: bytes = b""
    expires_ms: int = 0
    again: int = 0
    once: bool = False
    keys: tuple[bytes, ...] | None = None
    limited: str | None = None
    runs: int = 0
    blamable: int = 0
    terminated: bool = False


@dataclass(slots=True)
class Ledger:
    """Promises made to clients, and what they have seen.

    Attributes:
        plans: Every message that anybody tried to send, by id.
        accepted: Ids whose acceptance a client has heard of, and which no older disk has taken back since.
        rejected: Ids that are certainly not recorded, by the word of the sender.
        seen: The final state and outcome that somebody has seen of an id.
        forgotten: Ids whose outcome somebody has asked to drop.
    """

    plans: dict[bytes, Plan] = field(default_factory=dict)
    accepted: set[bytes] = field(default_factory=set)
    rejected: set[bytes] = field(default_factory=set)
    seen: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    forgotten: set[bytes] = field(default_factory=set)

    def saw(self, task_id: bytes, state: str, outcome: bytes) -> None:
        """Note the final state that a client sees of an id; it must be what was seen before."""
        before = self.seen.setdefault(task_id, (state, outcome))
        if before[0] != state:
            raise Violation(f"{task_id!r} was seen as {before[0]}, and now as {state}")
        if not outcome:
            if before[1] and task_id not in self.forgotten:
                raise Violation(f"the outcome of {task_id!r} is gone before its time")
        elif before[1] and before[1] != outcome:
            raise Violation(f"two outcomes of {task_id!r} were seen: {before[1]!r} and {outcome!r}")
        elif not before[1]:
            self.seen[task_id] = (state, outcome)
