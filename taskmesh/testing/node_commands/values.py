"""What a simulated node keeps under its keys, and the words its commands share.

Sets and hashes are dicts, because a dict keeps the order of insertion: a Python set of bytes is ordered
by a hash that differs from process to process, and then the same seed would not give the same run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TypeAlias

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = "ERR syntax error"


class CommandError(Exception):
    """A command was refused; `text` is the node's error reply."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class NotSimulated(Exception):
    """A command or an option which the simulated node does not know.

    Never an error reply: a script must not be able to catch it and go on as if the real node had refused.
    """


class Status(bytes):
    """A status reply such as `OK`: plain bytes to a client, a table `{ok=...}` to a script."""

    __slots__ = ()


OK = Status(b"OK")

ListValue: TypeAlias = deque[bytes]


class SetValue(dict[bytes, None]):
    """The members of a set, in the order of insertion."""

    __slots__ = ()

    def copy(self) -> SetValue:
        """Return a set that changes apart from this one."""
        return SetValue(self)


class HashValue(dict[bytes, bytes]):
    """The fields of a hash, in the order of insertion."""

    __slots__ = ()

    def copy(self) -> HashValue:
        """Return a hash that changes apart from this one."""
        return HashValue(self)


_score_of = itemgetter(0)


class SortedSet:
    """Members by score, then by member; lookups by dict, ranges by bisection."""

    __slots__ = ("order", "scores")

    def __init__(self, scores: dict[bytes, float] | None = None) -> None:
        self.scores: dict[bytes, float] = dict(scores or {})
        self.order: list[tuple[float, bytes]] = sorted(
            (score, member) for member, score in self.scores.items()
        )

    def __len__(self) -> int:
        return len(self.order)

    def copy(self) -> SortedSet:
        """Return a sorted set that changes apart from this one."""
        twin = SortedSet()
        twin.scores = self.scores.copy()
        twin.order = self.order.copy()
        return twin

    def put(self, member: bytes, score: float) -> None:
        """Add `member`, or move it to `score`."""
        self.discard(member)
        self.scores[member] = score
        insort(self.order, (score, member))

    def discard(self, member: bytes) -> bool:
        """Remove `member` if it is there; return whether it was."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def span(self, low: tuple[float, bool], high: tuple[float, bool]) -> tuple[int, int]:
        """Return the half-open range of positions whose scores lie between two bounds.

        Args:
            low: The least score, and whether it is itself excluded.
            high: The greatest score, and whether it is itself excluded.
        """
        left = bisect_right if low[1] else bisect_left
        right = bisect_left if high[1] else bisect_right
        first = left(self.order, low[0], key=_score_of)
        return first, max(first, right(self.order, high[0], key=_score_of))


Value: TypeAlias = bytes | ListValue | SetValue | HashValue | SortedSet
Reply: TypeAlias = "bytes | int | list[Reply] | None"


@dataclass(slots=True)
class NodeState:
    """What a command can see and change.

    Attributes:
        values: The keyspace.
        random: What `SPOP` and `SRANDMEMBER` draw from.
        clock_us: The node's wall clock in microseconds, as `TIME` shows it.
        publish: Delivers one message to the subscribers of a channel and returns their number.
        info: The facts which `INFO` shows, by name.
    """

    values: dict[bytes, Value]
    random: Random
    clock_us: Callable[[], int]
    publish: Callable[[bytes, bytes], int]
    info: dict[str, str]


Arguments: TypeAlias = Sequence[bytes]
CommandFunction: TypeAlias = Callable[[NodeState, Arguments], Reply]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its function, what it may be given, and what it may do.

    Attributes:
        fewest: Fewest words of a call, the command's name included.
        most: Most words of a call.
        writes: It may change the keyspace, so that a script with `no-writes` must not call it.
        grows: It may need memory, so that a full node refuses it.
        spreads: It has an effect outside the keyspace: a script with `no-writes` must not call it either.
    """

    function: CommandFunction
    fewest: int
    most: int
    writes: bool
    grows: bool
    spreads: bool


def string_at(state: NodeState, key: bytes) -> bytes | None:
    """Return the string under `key`, or None."""
    value = state.values.get(key)
    if value is None or isinstance(value, bytes):
        return value
    raise CommandError(WRONG_TYPE)


def list_at(state: NodeState, key: bytes) -> ListValue | None:
    """Return the list under `key`, or None."""
    value = state.values.get(key)
    if value is None or isinstance(value, deque):
        return value
    raise CommandError(WRONG_TYPE)


def set_at(state: NodeState, key: bytes) -> SetValue | None:
    """Return the set under `key`, or None."""
    value = state.values.get(key)
    if value is None or isinstance(value, SetValue):
        return value
    raise CommandError(WRONG_TYPE)


def hash_at(state: NodeState, key: bytes) -> HashValue | None:
    """Return the hash under `key`, or None."""
    value = state.values.get(key)
    if value is None or isinstance(value, HashValue):
        return value
    raise CommandError(WRONG_TYPE)


def sorted_set_at(state: NodeState, key: bytes) -> SortedSet | None:
    """Return the sorted set under `key`, or None."""
    value = state.values.get(key)
    if value is None or isinstance(value, SortedSet):
        return value
    raise CommandError(WRONG_TYPE)


def wrong_arguments(name: str) -> CommandError:
    """Return the error of a call with too few or too many words."""
    return CommandError(f"ERR wrong number of arguments for '{name}' command")
