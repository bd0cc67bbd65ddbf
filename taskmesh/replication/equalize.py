"""Makes copies level on nodes that wait for a view: the newest of each record that anybody sure has.

What only a node has that was not sure, or is newer there, never counted: it goes, so that no index is made of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taskmesh.core import keys
from taskmesh.core.script import Script
from taskmesh.core.steps import Call, Round
from taskmesh.replication.copy import Copy
from taskmesh.replication.fencing import Judge
from taskmesh.replication.level import DIGEST, DISCARD, LISTING, NEWER
from taskmesh.replication.mandate import Ask, Mandate, Silent, together
from taskmesh.replication.pieces import APPLY, Brought, ask_for_copies, bring, sort_copies
from taskmesh.replication.scripts import LIST_STEP, SETS
from taskmesh.replication.view import Row, View
from taskmesh.replication.view_register import ViewSteps

#: Slots that are summed up by one call, at most, and slots that are looked through at a time.
SLOTS_A_CALL, SLOTS_AT_ONCE = 64, 32
#: Records that travel together.
COPIES_AT_ONCE = 50
LARGE, EMPTY = b"large", b"0:0"

_T = TypeVar("_T")
Marks = Mapping[bytes, bytes]


@dataclass(slots=True)
class Equalized:
    """What was done.

    Attributes:
        changed: Nodes and slots of which a copy was changed.
        empty: Nodes and slots with nothing in them.
        copied: How many records were copied.
    """

    changed: set[tuple[str, int]] = field(default_factory=set)
    empty: set[tuple[str, int]] = field(default_factory=set)
    copied: int = 0


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot whose copies are to be level.

    Attributes:
        number: Which.
        sources: Who knows, together, all that ever counted.
        targets: Who has to have that.
    """

    number: int
    sources: Row
    targets: Row

    @property
    def nodes(self) -> Row:
        return tuple(dict.fromkeys((*self.sources, *self.targets)))


def equalize(mandate: Mandate, view: View, judge: Judge) -> ViewSteps[Equalized]:
    """Make as many copies of each slot level as must be, the primary's among them.

    Args:
        mandate: Whose.
        view: The one that is being made; all nodes that are asked wait for it.
        judge: Of those who do.

    Raises:
        Silent: One of these does not answer any more.
        LeadershipLost: One of these is further.
    """
    done = Equalized()
    slots = [
        _Slot(number, judge.sources(number) or (), judge.must_hold(number) or ())
        for number in range(view.slots)
    ]
    asked: dict[str, list[int]] = defaultdict(list)
    for slot in slots:
        for node in slot.nodes:
            asked[node].append(slot.number)
    # some of each node side by side, so that it need not wait for us between two steps
    parts = [(node, part) for node, some in asked.items() for part in groups(some, SLOTS_A_CALL)]
    told = yield from together([_digests(mandate, view, node, part) for node, part in parts])
    digests: dict[str, dict[int, bytes]] = defaultdict(dict)
    for (node, _), sums in zip(parts, told, strict=True):
        digests[node].update(sums)
    done.empty = {
        (node, slot) for node, some in digests.items() for slot, sum_ in some.items() if sum_ == EMPTY
    }
    differing = [slot for slot in slots if _differ([digests[node][slot.number] for node in slot.nodes])]
    for some in groups(differing, SLOTS_AT_ONCE):
        yield from _level(mandate, view, some, done)
    return done


def _differ(sums: Sequence[bytes]) -> bool:
    return len(sums) > 1 and (len(set(sums)) > 1 or LARGE in sums)


def _digests(mandate: Mandate, view: View, node: str, slots: Sequence[int]) -> Ask[dict[int, bytes]]:
    """Return a node's digest of each of some slots."""
    found: dict[int, bytes] = {}
    left = list(slots)
    while left:
        # as far as it comes in one step
        sums = yield mandate.call(DIGEST, view.waiting, node, *(b"%04x" % slot for slot in left))
        found.update(zip(left, sums, strict=False))
        left = left[len(sums) :]
    return found


def _marks(mandate: Mandate, view: View, node: str, slot: int) -> Ask[Marks]:
    """Return the marks of all that a node has of a slot."""
    marks: dict[bytes, bytes] = {}
    for which in SETS:
        cursor = b"0"
        while True:
            words = (b"%04x" % slot, which, cursor, b"%d" % LIST_STEP)
            cursor, *told = yield mandate.call(LISTING, view.waiting, node, *words)
            marks.update(zip(told[::2], told[1::2], strict=True))
            if cursor == b"0":
                break
    return marks


def _level(mandate: Mandate, view: View, slots: Sequence[_Slot], done: Equalized) -> ViewSteps[None]:
    pairs = [(slot, node) for slot in slots for node in slot.nodes]
    told = yield from together([_marks(mandate, view, node, slot.number) for slot, node in pairs])
    marks = {(slot.number, node): found for (slot, node), found in zip(pairs, told, strict=True)}
    removals: list[Ask[None]] = []
    wanted: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for slot in slots:
        newest = _newest({node: marks[slot.number, node] for node in slot.sources})
        for node in slot.targets:
            has = marks[slot.number, node]
            wrong = [
                each
                for each, mark in has.items()
                if each not in newest or mark[:NEWER] > newest[each][0][:NEWER]
            ]
            lacking = [each for each, (mark, _) in newest.items() if has.get(each) != mark]
            if wrong:
                removals.append(
                    _remove(mandate, view, node, slot.number, {each: has[each] for each in wrong})
                )
            for each in lacking:
                wanted[newest[each][1], node].append(each)
            if wrong or lacking:
                done.changed.add((node, slot.number))
            done.copied += len(lacking)
    yield from together(removals)
    copies = [
        _copy(mandate, view, holder, node, some)
        for (holder, node), ids in wanted.items()
        for some in groups(ids, COPIES_AT_ONCE)
    ]
    yield from together(copies, at_once=8)


def _newest(of: Mapping[str, Marks]) -> dict[bytes, tuple[bytes, str]]:
    """Return the highest mark of each record, and who has it."""
    newest: dict[bytes, tuple[bytes, str]] = {}
    for node, marks in of.items():
        for task_id, mark in marks.items():
            if task_id not in newest or mark > newest[task_id][0]:
                newest[task_id] = mark, node
    return newest


def _remove(mandate: Mandate, view: View, node: str, slot: int, ids: Marks) -> Ask[None]:
    for some in groups(list(ids), LIST_STEP):
        words = [word for task_id in some for word in (task_id, ids[task_id][:8])]
        yield mandate.call(DISCARD, view.waiting, node, b"%04x" % slot, *words)


def _copy(mandate: Mandate, view: View, holder: str, node: str, ids: Sequence[bytes]) -> Ask[None]:
    """Copy records from one node to another."""

    def make(script: Script, to: str, *args: bytes) -> Call:
        return mandate.call(script, view.waiting, to, *args)

    left = list(ids)
    while left:
        found = sort_copies(left, (yield ask_for_copies(make, holder, left)))
        left = found.later
        functions: dict[bytes, bytes] = {}
        for name in _functions((*found.whole, *found.large)):
            blob = yield Call(
                None, mandate.prefix, (b"GET", keys.function(mandate.prefix, name.decode())), node=holder
            )
            if isinstance(blob, bytes):
                functions[name] = blob
        words = [word for copy in found.whole for word in _entries(copy, functions)]
        letters = (yield make(APPLY, node, *words)) if words else b""
        for copy in found.large:
            brought = yield from _one_by_one(bring(make, holder, (node,), copy, functions))
            answer = brought[node]
            if not isinstance(answer, bytes):
                raise Silent(node, str(getattr(answer, "reason", answer)))
            letters += answer
        if b"F" in letters:
            mandate.note(
                f"node {holder} has lost a function that its messages refer to: they were not copied"
            )


def _one_by_one(steps: Brought) -> Ask[dict[str, Any]]:
    """Hold a conversation with one node of which each round is one call, or two that may go one after the other."""
    try:
        request = next(steps)
        while True:
            replies: list[Any] = []
            for call in request.calls if isinstance(request, Round) else ():
                reply = yield call
                replies.append(reply)
            request = steps.send(replies)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _functions(copies: Iterable[Copy]) -> list[bytes]:
    return list(dict.fromkeys(copy.function for copy in copies if copy.function))


def _entries(copy: Copy, functions: Mapping[bytes, bytes]) -> Iterator[bytes]:
    blob = functions.get(copy.function)
    if blob is not None:
        yield from (b"f", copy.function, blob)
    yield from copy.entry()
    for each in copy.beside():
        yield from each


def groups(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield the items, so many at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))
