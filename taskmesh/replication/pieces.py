"""Copies that are too large to travel as a whole: pieces of them, so that no step of a node takes long.

Whoever brings a copy asks its holder for a piece, hands that to those who lack the copy, and goes on where they say
that they are. What they have of it stands aside: it counts for nothing, and is in nobody's way, until all of it is
there and takes the record's place, by the rule by which every copy does. Several may bring the same copy at once: a
piece that has come already changes nothing, and all of them go on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, Pause, Reply, Round, all_answered
from taskmesh.replication.copy import VERSION, Copy, read_copy

APPLY = load_script("taskmesh.replication", "apply")
FETCH = load_script("taskmesh.replication", "fetch")
PIECE_OF = load_script("taskmesh.replication", "piece_of")
TAKE_PIECE = load_script("taskmesh.replication", "take_piece")

#: How much of records one step reads or writes: larger ones travel in pieces. `changes.lua` has the same number.
PIECE_BYTES = 1 << 20
#: The copy is there already; a newer one is coming. Instead of how much has come.
_HAS_IT, _NEWER_COMES = -1, -2
#: How often as many pieces as the copy has may be handed over before it is given up: it changes, or is removed.
_REPEATS = 3

#: Makes a call of a script to a node, in the epoch that counts there.
Make: TypeAlias = Callable[..., Call]
Brought: TypeAlias = Generator[Round | Pause, Sequence[Reply], dict[str, Reply]]


@dataclass(slots=True)
class Sorted:
    """What was asked of a holder, by how it goes on.

    Attributes:
        whole: Copies that came as a whole.
        large: Copies that have to be brought in pieces.
        later: Ids for which there was no room: they are to be asked for once more.
    """

    whole: list[Copy] = field(default_factory=list)
    large: list[Copy] = field(default_factory=list)
    later: list[bytes] = field(default_factory=list)


def ask_for_copies(make: Make, holder: str, ids: Iterable[bytes]) -> Call:
    """Return the call that asks for copies, as many as one step bears."""
    return make(FETCH, holder, b"%d" % PIECE_BYTES, *ids)


def sort_copies(ids: Sequence[bytes], answer: Sequence[bytes]) -> Sorted:
    """Tell how it goes on with each of the ids that were asked for; those that are not there are left out."""
    found = Sorted()
    for at, task_id in enumerate(ids):
        copy = read_copy(task_id, answer, at)
        if not copy.record:
            continue
        if copy.is_whole:
            found.whole.append(copy)
        elif copy.size > PIECE_BYTES:
            found.large.append(copy)
        else:
            found.later.append(task_id)
    return found


def bring(
    make: Make,
    holder: str,
    nodes: Iterable[str],
    copy: Copy,
    functions: Mapping[bytes, bytes],
    *,
    bandwidth: int = 0,
) -> Brought:
    """Bring a copy to nodes, in pieces.

    Args:
        make: Makes the calls.
        holder: Who has it.
        nodes: Who lack it.
        copy: Of which at least head and names are there.
        functions: By content hash; what it refers to goes before it.
        bandwidth: Bytes a second, at most; 0 for as fast as it goes.

    Returns:
        For each node its last answer: the letter of `apply.lua` for the record, or a failure.
    """
    bringing = _Bringing(make, copy, dict.fromkeys(nodes, 0), functions)
    told: Reply = None
    told_of = -1
    for _ in range(_REPEATS * (copy.size // PIECE_BYTES + 2)):
        at = min(bringing.places.values())
        if told_of != at:
            (told,) = yield Round([_ask_for_piece(make, holder, copy, at)], all_answered)
        if not isinstance(told, list):
            bringing.end(told)
            break
        calls = bringing.hand_over(at, told)
        told_of = -1
        if calls:
            # the next one is asked for meanwhile
            told_of = at + len(told[2])
            ahead = [_ask_for_piece(make, holder, copy, told_of)] if told_of < told[1] else []
            replies = yield Round([*calls, *ahead], all_answered)
            bringing.take(replies[: len(calls)])
            if bandwidth:
                yield Pause(len(told[2]) / bandwidth)
            told = replies[-1]
        if not bringing.places:
            break
    bringing.end(NoAnswer("it changed again and again while it was copied"))
    return bringing.answers


def _ask_for_piece(make: Make, holder: str, copy: Copy, at: int) -> Call:
    return make(PIECE_OF, holder, copy.task_id, b"%d" % at, b"%d" % PIECE_BYTES)


class _Bringing:
    """A copy on its way.

    Attributes:
        places: Of each node that lacks it: where the next piece begins.
        answers: Of each node that is done with: what it said last.
    """

    def __init__(
        self, make: Make, copy: Copy, places: dict[str, int], functions: Mapping[bytes, bytes]
    ) -> None:
        self.places = places
        self.answers: dict[str, Reply] = {}
        self._make = make
        self._copy = copy
        self._what = copy.version, copy.size
        self._functions = functions
        #: of each call: to which node, and at which place the record's letter stands, if it ends with that
        self._about: list[tuple[str, int | None]] = []

    def end(self, why: Reply) -> None:
        """Be done with all nodes that are left."""
        self.answers.update(dict.fromkeys(self.places, why))
        self.places.clear()

    def hand_over(self, at: int, told: Sequence[Any]) -> list[Call]:
        """Return the calls that hand a piece over to who waits for it; none if the record has changed meanwhile."""
        head, size, piece = told
        if not head:
            self.end(NoAnswer("it was removed while it was copied"))
            return []
        if (head[VERSION], size) != self._what:
            self._what = head[VERSION], size
            self.places = dict.fromkeys(self.places, 0)
            return []
        calls: list[Call] = []
        self._about = []
        for node, place in self.places.items():
            if place != at:
                continue
            if at < size:
                place_of = (b"%d" % size, b"%d" % at)
                calls.append(
                    self._make(TAKE_PIECE, node, self._copy.task_id, head[VERSION], *place_of, piece)
                )
                self._about.append((node, None))
            if at + len(piece) >= size:
                words, letter_at = self._last(head, size)
                calls.append(self._make(APPLY, node, *words))
                self._about.append((node, letter_at))
        return calls

    def _last(self, head: bytes, size: int) -> tuple[tuple[bytes, ...], int]:
        """Return what puts the copy in its place, and the place of its letter in the answer."""
        copy, words, letter_at = self._copy, [], 0
        blob = self._functions.get(copy.function)
        if blob is not None and head[VERSION] == copy.version:
            words += [b"f", copy.function, blob]
            letter_at = 1
        words += [b"i", copy.task_id, b"%d" % size, head, copy.side]
        for each in copy.beside():
            words += each
        return tuple(words), letter_at

    def take(self, replies: Sequence[Reply]) -> None:
        """Note how far the nodes are."""
        for (node, letter_at), reply in zip(self._about, replies, strict=True):
            if node not in self.places:
                continue
            if letter_at is not None and isinstance(reply, bytes):
                letter = reply[letter_at : letter_at + 1]
                if letter != b"n":
                    self.answers[node] = letter
                    del self.places[node]
                elif self.places[node] >= self._what[1]:
                    # all had come, and something else has taken its place; else it goes on where the node said
                    self.places[node] = 0
            elif not isinstance(reply, int):
                self.answers[node] = reply
                del self.places[node]
            elif reply == _NEWER_COMES:
                self.answers[node] = NoAnswer("a newer copy is on its way")
                del self.places[node]
            else:
                # who has the copy hears only what puts it in its place
                self.places[node] = self._what[1] if reply == _HAS_IT else reply
