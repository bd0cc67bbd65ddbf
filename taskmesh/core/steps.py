"""The words of a conversation with a node.

A protocol is a generator: it yields a list of `Call` (they may go in parallel) or a `Pause`, and is
sent back a list of replies in the same order. It knows no socket and no clock; a driver in
`taskmesh.nodes`, or the simulated one, performs the calls. So the logic that must be right is
written once and can be replayed from a seed. (The idea is h11's and etcd-io/raft's.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from taskmesh.core.script import Script

T = TypeVar("T")


class Call:
    """One script to run on the node, or one plain command.

    Attributes:
        script: The script; None for a plain command.
        args: The script's `ARGV`, or the words of the command.
        prefix: The script's `KEYS[1]`.
        patience_s: How long the node itself may take on purpose (a blocking command).
        node: Address of the acceptor that is meant, in a `Round`; empty for the node of the driver.
    """

    __slots__ = ("args", "node", "patience_s", "prefix", "script")

    def __init__(
        self,
        script: Script | None,
        prefix: bytes,
        args: tuple[bytes, ...],
        patience_s: float = 0.0,
        node: str = "",
    ) -> None:
        self.script = script
        self.prefix = prefix
        self.args = args
        self.patience_s = patience_s
        self.node = node

    def __repr__(self) -> str:
        return f"Call({self.script.name if self.script else 'command'}, {self.args[:6]!r}...)"


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The call certainly did not reach the node.

    Attributes:
        reason: Why.
        lasts: Whether asking again would be refused again, until somebody changes something: a wrong password.
    """

    reason: str
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer came: the call may have been executed, or may be executed later."""

    reason: str


@dataclass(frozen=True, slots=True)
class NodeError:
    """The node answered with an error; nothing was changed."""

    text: str


class Out:
    """Stands where a call of a `Round` has not been answered yet."""

    def __repr__(self) -> str:
        return "OUT"


OUT = Out()

Reply = Any


def all_answered(replies: Sequence[Reply]) -> bool:
    """Tell whether every call of a round was answered, or failed."""
    return OUT not in replies


@dataclass(frozen=True, slots=True)
class Round:
    """Calls to several nodes at once, of which not all answers need be waited for.

    Attributes:
        calls: Each says its node.
        enough: Tells of the replies so far, `OUT` where there is none yet, whether it can go on. Answers that come
            later are lost.
    """

    calls: list[Call]
    enough: Callable[[Sequence[Reply]], bool]


Request = list[Call] | Pause
Steps = Generator[Request, list[Reply], T]
#: A conversation with several nodes at once.
GroupSteps = Generator[Round | Pause, Sequence[Reply], T]


class Session:
    """What a caller believes of its mesh: where its keys are, the epoch, the time.

    Attributes:
        prefix: What every key begins with.
        epoch: 12 hex digits; corrected by the first `StaleView`.
        slots: How many slots the mesh has.
        now_ms: The node's clock as measured, advanced monotonically.
    """

    __slots__ = ("epoch", "now_ms", "prefix", "slots")

    def __init__(self, prefix: bytes, epoch: bytes, slots: int, now_ms: Callable[[], int]) -> None:
        self.prefix = prefix
        self.epoch = epoch
        self.slots = slots
        self.now_ms = now_ms

    def call(self, script: Script, *args: bytes) -> Call:
        """Return a call of the script with the epoch and the time in front of its arguments."""
        return Call(script, self.prefix, (self.epoch, b"%d" % self.now_ms(), *args))
