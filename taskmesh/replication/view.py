"""The view: which nodes a mesh has, and which of them keeps which slot. Agreed by acceptors, and obeyed by every node.

Each change of it has the next number. It is *moving* while copies are being made level, and says then what it is to
become, with the view before it, which is the last that counted: `before`. When it is *active*, it counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from taskmesh.errors import ImpossibleView

ACTIVE, MOVING = "active", "moving"
#: A member that may keep copies; one that is gone, or has forgotten; one that is being copied to; one that was emptied
#: on purpose.
UP, LOST, LEARNER, DRAINED = "up", "lost", "learner", "drained"
STATES = (UP, LOST, LEARNER, DRAINED)
WEIGHT = 100
#: The id of the first member: of a mesh that had one node, that one.
FIRST = "n1"

SLOTS_MAX = 65_536
REPLICAS_MAX = 9
MEMBERS_MAX = 65_535
#: A view's number has 11 hex digits in an epoch.
NUMBER_MAX = 16**11 - 1

#: How the epoch of a node begins that obeys a view, and of one that waits for the next.
OBEYS, WAITS = b"f", b"x"

Row = tuple[str, ...]
Table = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a mesh of several.

    Attributes:
        id: `n1`, `n2`, ... in the order of joining; never used again.
        address: A URL without password.
        instance: 16 hex digits, which stand on the node since it was made a member: an emptied one has none.
        run_id: Of the server process as it was admitted: one that was started anew may have forgotten something.
        weight: How much it keeps, in proportion to others.
        domain: What fails together with it; empty: it fails alone.
        state: "up", "lost", "learner" or "drained".
    """

    id: str
    address: str
    instance: str
    run_id: str
    weight: int = WEIGHT
    domain: str = ""
    state: str = UP


@dataclass(frozen=True)
class View:
    """A view. It is made only if it is possible.

    Attributes:
        number: 1 for the first; each later one has the next.
        phase: "active" or "moving".
        slots: How many slots the mesh has.
        replicas: How many copies of each slot there are to be; rows may be shorter where nodes are lacking.
        members: In the order of joining.
        table: For each slot the ids of the nodes that keep it, the primary first.
        before: Of one that is moving, the last that was active; None if there was none.

    Raises:
        ImpossibleView: It contradicts itself.
    """

    number: int
    phase: str
    slots: int
    replicas: int
    members: tuple[Member, ...]
    table: Table
    before: View | None = None

    def __post_init__(self) -> None:
        check(self)

    @cached_property
    def epoch(self) -> bytes:
        """Return the epoch of nodes that obey this view."""
        return b"f%011x" % self.number

    @cached_property
    def waiting(self) -> bytes:
        """Return the epoch of nodes that obey no view until they are told this one."""
        return b"x%011x" % self.number

    @cached_property
    def _by_id(self) -> dict[str, Member]:
        return {member.id: member for member in self.members}

    @cached_property
    def _led(self) -> dict[str, tuple[int, ...]]:
        led: dict[str, list[int]] = {}
        for slot, row in enumerate(self.table):
            led.setdefault(row[0], []).append(slot)
        return {node: tuple(slots) for node, slots in led.items()}

    def member(self, node: str) -> Member | None:
        """Return a member by its id."""
        return self._by_id.get(node)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Return the ids of the members that may keep copies."""
        return tuple(member.id for member in self.members if member.state == UP)

    def primary(self, slot: int) -> str:
        """Return the id of the node on which changes in a slot are made first."""
        return self.table[slot][0]

    def backups(self, slot: int) -> Row:
        """Return the ids of the nodes to which changes in a slot are applied then."""
        return self.table[slot][1:]

    def copies_needed(self, slot: int) -> int:
        """Return how many copies must have a change before it counts."""
        return len(self.table[slot]) // 2 + 1

    def fences_needed(self, slot: int) -> int:
        """Return how many nodes of a slot must have stopped, so that none of its changes can count any more."""
        row = len(self.table[slot])
        return row - self.copies_needed(slot) + 1

    def led_by(self, node: str) -> tuple[int, ...]:
        """Return the slots whose primary a node is."""
        return self._led.get(node, ())

    def held_by(self, node: str) -> tuple[int, ...]:
        """Return the slots of which a node keeps a copy."""
        return tuple(slot for slot, row in enumerate(self.table) if node in row)

    def own(self, node: str) -> bytes:
        """Return what a node is told of its slots: a digit for each, `1` if it is the primary."""
        return b"".join(b"1" if row[0] == node else b"0" for row in self.table)

    def activated(self) -> View:
        """Return this view as it is once all that was needed was copied."""
        return replace(self, phase=ACTIVE, before=None)


def copies_missing(view: View) -> int:
    """Return how many copies of slots are lacking, as the view has it."""
    return sum(view.replicas - len(row) for row in view.table)


def check(view: View) -> None:
    """Refuse a view that contradicts itself.

    Raises:
        ImpossibleView: What is wrong, by name.
    """
    what = f"view {view.number}"
    if not 1 <= view.number <= NUMBER_MAX:
        raise ImpossibleView(f"{what}: the number of a view is 1 to {NUMBER_MAX:,}")
    if view.phase not in (ACTIVE, MOVING):
        raise ImpossibleView(f"{what} is {view.phase!r}; it can be {ACTIVE!r} or {MOVING!r}")
    if not 1 <= view.slots <= SLOTS_MAX or len(view.table) != view.slots:
        raise ImpossibleView(
            f"{what} has {view.slots} slots, and a table of {len(view.table)}: expected as many, 1 to {SLOTS_MAX:,}"
        )
    if not 1 <= view.replicas <= REPLICAS_MAX:
        raise ImpossibleView(f"{what} asks for {view.replicas} replicas: expected 1 to {REPLICAS_MAX}")
    _check_members(what, view.members)
    _check_rows(what, view)
    _check_before(what, view)


def _check_members(what: str, members: tuple[Member, ...]) -> None:
    if not 1 <= len(members) <= MEMBERS_MAX:
        raise ImpossibleView(f"{what} has {len(members):,} members: expected 1 to {MEMBERS_MAX:,}")
    for name, values in (
        ("id", [member.id for member in members]),
        ("instance", [member.instance for member in members if member.instance]),
        ("address", [member.address for member in members if member.state in (UP, LEARNER)]),
    ):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise ImpossibleView(f"{what}: two members have the {name} {twice[0]!r}")
    for member in members:
        if not member.id or not member.id.isascii() or not member.id.isalnum():
            raise ImpossibleView(f"{what}: {member.id!r} is no id of a node: expected n1, n2, ...")
        if member.state not in STATES:
            raise ImpossibleView(f"{what}: member {member.id} is {member.state!r}: expected one of {STATES}")
        if member.weight < 0:
            raise ImpossibleView(f"{what}: member {member.id} has weight {member.weight}: expected 0 or more")
        if member.state == UP and not (member.address and member.instance and member.run_id):
            raise ImpossibleView(
                f"{what}: member {member.id} is up, and lacks its address, its instance or its server's run id"
            )


def _check_rows(what: str, view: View) -> None:
    states = {member.id: member.state for member in view.members}
    # rows are few kinds, and views may have 65,536 of them
    seen: set[Row] = set()
    for slot, row in enumerate(view.table):
        if row in seen:
            continue
        seen.add(row)
        if not row:
            raise ImpossibleView(f"{what}: nobody keeps slot {slot}")
        if len(row) > view.replicas:
            raise ImpossibleView(
                f"{what}: slot {slot} has {len(row)} copies, more than the {view.replicas} asked for"
            )
        if len(set(row)) < len(row):
            raise ImpossibleView(f"{what}: slot {slot} is kept twice by one node: {', '.join(row)}")
        for node in row:
            if states.get(node) != UP:
                how = states.get(node, "no member")
                raise ImpossibleView(f"{what}: slot {slot} is kept by {node}, which is {how}")


def _check_before(what: str, view: View) -> None:
    before = view.before
    if before is None:
        return
    if view.phase == ACTIVE:
        raise ImpossibleView(f"{what} is active, and yet to come from view {before.number}")
    if before.phase != ACTIVE or before.number >= view.number or before.slots != view.slots:
        raise ImpossibleView(
            f"{what} cannot come from view {before.number}, which is {before.phase} and has {before.slots} slots"
        )
    kept = {member.id for member in view.members}
    gone = [member.id for member in before.members if member.id not in kept]
    if gone:
        # its id would be given away again
        raise ImpossibleView(
            f"{what} does not know {gone[0]}, a member of view {before.number}: it is lost, or drained"
        )
