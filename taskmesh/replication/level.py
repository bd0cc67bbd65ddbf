"""Anti-entropy: makes the backups of some slots level with their primaries, in bounded steps.

The primary of a slot has every change that counts in its view, so it is right wherever copies differ: what a backup
lacks or has otherwise is copied to it, and what only the backup has is removed. (Dynamo, section 4.7, without the tree:
a slot has some hundred records, and a sum over them is asked for first.)

When all copies were level at one moment, whatever was final before it may be forgotten everywhere: no copy is left from
which it could come back as something that still waits or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from taskmesh.core.script import Script, load_script
from taskmesh.core.steps import Call, NodeError, Pause, Reply, Round, all_answered
from taskmesh.errors import InvariantBroken
from taskmesh.replication.changes import TOLD
from taskmesh.replication.copy import Copy
from taskmesh.replication.functions import fetch_functions
from taskmesh.replication.pieces import APPLY, ask_for_copies, bring, sort_copies
from taskmesh.replication.spread import Spread
from taskmesh.replication.standing import Standing
from taskmesh.replication.view import Row, View

DIGEST = load_script("taskmesh.replication", "digest")
LISTING = load_script("taskmesh.replication", "listing")
DISCARD = load_script("taskmesh.replication", "discard")
MARK_LEVEL = load_script("taskmesh.replication", "mark_level")
DROP = load_script("taskmesh.replication", "drop_slots")
PRUNE = load_script("taskmesh.replication", "prune")

#: Slots that are summed up in one round.
SLOTS_AT_ONCE = 32
#: Records that are copied in one round, and listed in one.
COPIES_AT_ONCE = 50
LISTED_AT_ONCE = 500
#: Records that are removed in one step of those that a node keeps no more.
DROPPED_AT_ONCE = 500
#: Entries of an index that are looked at in one step: some milliseconds of the node.
PRUNED_AT_ONCE = 300
#: Indexes of which a node may keep entries of slots that it leads no more: dead letters, and what waits for its time.
PRUNED = (b"dead", b"d")
#: So much of a mark says which copy is the newer one; the rest, whether it is a whole one.
NEWER = 9
#: Bytes a second that are copied, so that whoever works is not held up.
BANDWIDTH = 8 << 20


@dataclass(slots=True)
class Levelled:
    """What was found and done.

    Attributes:
        compared: Slots whose copies were all compared.
        missed: Slots of which a replica did not answer, or the view changed.
        copied: Records that were copied to a backup.
        removed: Records that only a backup had.
    """

    compared: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    copied: int = 0
    removed: int = 0


class _Stale(Exception):
    """The view has changed: whoever wants this begins anew."""


class _Silent(Exception):
    """A replica does not answer."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A node that is to take part in slots, and does not yet.

    Attributes:
        id: As a member.
        epoch: That it is in; it obeys no view, or an older one.
    """

    id: str
    epoch: bytes


def level(
    standing: Standing,
    slots: Sequence[int],
    *,
    learner: Learner | None = None,
    bandwidth: int = BANDWIDTH,
    note: Callable[[int], None] = lambda _left: None,
) -> Spread[Levelled]:
    """Make the backups of some slots level with their primaries, or a learner.

    Args:
        standing: The view by which that goes; when it changes, what is left counts as missed.
        slots: Which.
        learner: Who is made level instead of the backups.
        bandwidth: Bytes a second to copy.
        note: Told now and then how many slots are left.
    """
    view = _Compared(standing, standing.view, learner)
    found = Levelled()
    left = list(slots)
    try:
        while left:
            some = left[:SLOTS_AT_ONCE]
            note(len(left))
            sums = yield from _sums(view, some)
            for slot in some:
                row = view.row(slot)
                told = [sums.get((node, slot)) for node in row]
                if None in told:
                    # not told yet, since there is much before it; or its node is silent, and told nothing at all
                    if any(node not in {at for at, _ in sums} for node in row):
                        found.missed.append(slot)
                        left.remove(slot)
                    continue
                left.remove(slot)
                try:
                    for node, digest in zip(row[1:], told[1:], strict=True):
                        if digest != told[0] or digest == b"large":
                            yield from _repair(view, slot, node, found, bandwidth)
                except _Silent:
                    found.missed.append(slot)
                else:
                    found.compared.append(slot)
    except _Stale:
        found.missed += left
    return found


def drop_unheld(standing: Standing, view: View, node: str, slots: Sequence[int]) -> Spread[int]:
    """Remove what a node has of slots that it keeps no more, and return how much that was.

    What would stay there is an old copy of what goes on elsewhere, and fills memory.

    Args:
        standing: Where.
        view: By which the node does not keep these slots; in another one nothing is removed.
        node: Which node.
        slots: Which slots.

    Raises:
        InvariantBroken: It does keep one of them.
    """
    kept = [slot for slot in slots if node in view.table[slot]]
    if kept:
        raise InvariantBroken(
            f"node {node} keeps slot {kept[0]} in view {view.number}: its copies are not dropped"
        )
    compared = _Compared(standing, view, None)
    words = [b"%04x" % slot for slot in slots]
    removed = 0
    while True:
        (reply,) = yield Round(
            [compared.call(DROP, node, b"%d" % DROPPED_AT_ONCE, node.encode(), *words)], all_answered
        )
        if not isinstance(reply, list):
            # it is away, in another view, or another one is in its place: that is seen to then
            return removed
        removed += int(reply[0])
        if reply[1] == b"0":
            return removed


def prune(standing: Standing, view: View, node: str) -> Spread[int]:
    """Take out of a node's indexes what it does not lead, and return how much that was.

    It led that before others did, and it would be counted on both nodes.

    Args:
        standing: Where.
        view: That says what the node leads; in another one nothing is taken out.
        node: Which node.
    """
    compared = _Compared(standing, view, None)
    removed = 0
    for index in PRUNED:
        cursor = b"0"
        while True:
            replies = yield Round(
                [compared.call(PRUNE, node, index, cursor, b"%d" % PRUNED_AT_ONCE)], all_answered
            )
            try:
                (answer,) = _answers(replies)
            except _Stale:
                return removed
            if answer is None:
                # it is away: what it has is not counted either, and is looked at in the view that takes it in
                return removed
            cursor = bytes(answer[0])
            removed += int(answer[1])
            if cursor == b"0":
                break
    return removed


class _Compared:
    """Which nodes are compared, and in which epoch each is asked."""

    def __init__(self, standing: Standing, view: View, learner: Learner | None) -> None:
        self.prefix = standing.session.prefix
        self._session = standing.session
        self._view = view
        self._learner = learner

    def row(self, slot: int) -> Row:
        """Return the primary of a slot, and who is to be level with it."""
        row = self._view.table[slot]
        return row if self._learner is None else (row[0], self._learner.id)

    def call(self, script: Script, node: str, *args: bytes) -> Call:
        """Return a call to a node."""
        learner = self._learner
        epoch = learner.epoch if learner is not None and node == learner.id else self._view.epoch
        return Call(script, self.prefix, (epoch, b"%d" % self._session.now_ms(), *args), node=node)


def mark_level(standing: Standing, view: View, moment_ms: int) -> Spread[bool]:
    """Have all nodes know that their copies were level at a moment; tell whether all have heard.

    Args:
        standing: Where.
        view: By which they were compared; in another one it would say nothing.
        moment_ms: When the comparing began.
    """
    compared = _Compared(standing, view, None)
    calls = [
        compared.call(MARK_LEVEL, node, b"%d" % moment_ms)
        for node in dict.fromkeys(node for row in view.table for node in row)
    ]
    replies = yield Round(calls, all_answered)
    return all(reply == 1 for reply in replies)


def _answers(replies: Sequence[Reply]) -> list[list[bytes] | None]:
    """Return the answers, None for a node that is silent.

    Raises:
        _Stale: One of them is in another view.
    """
    out: list[list[bytes] | None] = []
    for reply in replies:
        if isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW"):
            raise _Stale
        plain = reply[1] if isinstance(reply, list) and reply[:1] == [TOLD] else reply
        out.append(plain if isinstance(plain, list) else None)
    return out


def _sums(view: _Compared, slots: Sequence[int]) -> Spread[dict[tuple[str, int], bytes]]:
    asked: dict[str, list[int]] = {}
    for slot in slots:
        for node in view.row(slot):
            asked.setdefault(node, []).append(slot)
    calls = [view.call(DIGEST, node, *(b"%04x" % slot for slot in some)) for node, some in asked.items()]
    answers = _answers((yield Round(calls, all_answered)))
    return {
        (node, slot): digest
        for (node, some), answer in zip(asked.items(), answers, strict=True)
        for slot, digest in zip(some, answer or (), strict=False)
    }


def _listed(view: _Compared, slot: int, node: str) -> Spread[dict[bytes, bytes]]:
    """Return the marks of all records that a node has of a slot."""
    marks: dict[bytes, bytes] = {}
    # in this order: what ends meanwhile is seen in one of both
    for which in (b"L", b"F"):
        cursor = b"0"
        while True:
            (answer,) = _answers(
                (
                    yield Round(
                        [
                            view.call(
                                LISTING,
                                node,
                                b"%04x" % slot,
                                which,
                                cursor,
                                b"%d" % LISTED_AT_ONCE,
                            )
                        ],
                        all_answered,
                    )
                )
            )
            if answer is None:
                raise _Silent
            cursor = answer[0]
            for at in range(1, len(answer), 2):
                marks[answer[at]] = max(answer[at + 1], marks.get(answer[at], b""))
            if cursor == b"0":
                break
    return marks


def _repair(view: _Compared, slot: int, node: str, found: Levelled, bandwidth: int) -> Spread[None]:
    """Make one backup of one slot level with its primary."""
    primary = view.row(slot)[0]
    # the backup first: what it has and the primary does not have afterwards, is no newer message
    theirs = yield from _listed(view, slot, node)
    ours = yield from _listed(view, slot, primary)
    # newer than what counts: of a primary of before, whose change never did
    wrong = [task_id for task_id, mark in theirs.items() if mark[:NEWER] > ours.get(task_id, b"")[:NEWER]]
    wrong_ones = set(wrong)
    for some in _groups(wrong, LISTED_AT_ONCE):
        words = [word for task_id in some for word in (task_id, theirs[task_id][:8])]
        (reply,) = yield Round([view.call(DISCARD, node, b"%04x" % slot, *words)], all_answered)
        if isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW"):
            raise _Stale
        found.removed += sum(task_id not in ours for task_id in some)
    # the same, but its outcome is at the backup alone: the primary was short of memory for a while
    richer = [
        task_id for task_id, mark in theirs.items() if task_id not in wrong_ones and mark > ours[task_id]
    ]
    lacking = [
        task_id for task_id, mark in ours.items() if mark > theirs.get(task_id, b"") or task_id in wrong_ones
    ]
    for holder, taker, ids in ((node, primary, richer), (primary, node, lacking)):
        for some in _groups(ids, COPIES_AT_ONCE):
            left = some
            while left:
                left = yield from _copy(view, holder, taker, left, bandwidth)
            found.copied += len(some)


def _copy(view: _Compared, primary: str, node: str, ids: list[bytes], bandwidth: int) -> Spread[list[bytes]]:
    """Copy records from a primary to a backup, and return those for which there was no room in one step."""
    (answer,) = _answers((yield Round([ask_for_copies(view.call, primary, ids)], all_answered)))
    if answer is None:
        raise _Silent
    found = sort_copies(ids, answer)
    functions = yield from fetch_functions(
        view.prefix, {copy.function: primary for copy in (*found.whole, *found.large) if copy.function}
    )
    words = _words(found.whole, functions)
    if words:
        _check((yield Round([view.call(APPLY, node, *words)], all_answered))[0])
        if bandwidth:
            yield Pause(sum(map(len, words)) / bandwidth)
    for copy in found.large:
        brought = yield from bring(view.call, primary, (node,), copy, functions, bandwidth=bandwidth)
        _check(brought[node])
    return found.later


def _words(copies: Sequence[Copy], functions: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the arguments of `apply.lua` for whole copies."""
    words: list[bytes] = []
    for copy in copies:
        blob = functions.get(copy.function)
        if blob is not None:
            words += (b"f", copy.function, blob)
        words += copy.entry()
        for each in copy.beside():
            words += each
    return words


def _check(reply: Reply) -> None:
    """Raise if copies did not arrive.

    Raises:
        _Stale, _Silent: Why.
    """
    if isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW"):
        raise _Stale
    if not isinstance(reply, bytes):
        raise _Silent


def _groups(ids: Sequence[bytes], size: int) -> list[list[bytes]]:
    them = iter(ids)
    return [some for _ in range(0, len(ids), size) if (some := list(islice(them, size)))]
