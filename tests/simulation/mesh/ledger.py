"""What the outside world knows: what was sent, what was promised, what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from taskmesh.core import keys

PREFIX = keys.prefix("sim")


class BrokenPromise(AssertionError):
    """A promise of the mesh was broken."""


@dataclass(slots=True)
class Plan:
    """One message, and what happens when it is run.

    Attributes:
        task_id: Its id.
        key: Of its record.
        slot: In which it lives.
        duration_s: How long a run takes.
        letter: How its last run ends.
        again: How many runs ask to be run again before.
        function: Content hash of the function that it needs; empty for none.
        unique, sequence: Digests of its keys; empty for none.
        after: Those with the same key that were accepted before it was first sent.
        runs: How often it was begun.
        stands: Whether it is recorded; another one may stand for it instead.
    """

    task_id: bytes
    key: bytes
    slot: int
    duration_s: float
    letter: bytes
    again: int
    function: bytes = b""
    unique: bytes = b""
    sequence: bytes = b""
    after: tuple[bytes, ...] = ()
    runs: int = 0
    stands: bool = True


@dataclass(slots=True)
class Ledger:
    """Promises, and what somebody has seen.

    Attributes:
        plans: Every message that anybody tried to send, by id.
        accepted: Ids whose acceptance a caller has heard of.
        seen: The final state and outcome that somebody has seen of an id.
        states: The final state that somebody was told of an id.
        asked: Ids that somebody has tried to revoke.
        told: Is called before a promise counts: it must be kept already.
    """

    plans: dict[bytes, Plan] = field(default_factory=dict)
    accepted: set[bytes] = field(default_factory=set)
    seen: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    states: dict[bytes, str] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)
    told: Callable[[bytes, str], None] = lambda task_id, what: None

    def heard_accepted(self, task_id: bytes) -> None:
        """Note that a caller was told that a message is accepted."""
        self.told(task_id, "it was accepted")
        self.accepted.add(task_id)

    def saw_state(self, task_id: bytes, state: str) -> None:
        """Note that somebody is told how a message has ended, without its outcome."""
        if self.seen.get(task_id, (state, b""))[0] != state:
            raise BrokenPromise(f"I4: {task_id!r} was seen as {self.seen[task_id][0]}, and now as {state}")
        self.states[task_id] = state

    def saw(self, task_id: bytes, state: str, outcome: bytes) -> None:
        """Note the final state and outcome that somebody sees; it must be what was seen before."""
        self.told(task_id, f"{state} was seen")
        if self.states.get(task_id, state) != state:
            raise BrokenPromise(
                f"I4: {task_id!r} was told to be {self.states[task_id]}, and is seen as {state}"
            )
        before = self.seen.setdefault(task_id, (state, outcome))
        if before != (state, outcome):
            raise BrokenPromise(
                f"I4: {task_id!r} was seen as {before[0]} {before[1]!r}, and now as {state} {outcome!r}"
            )
