"""Fencing: nodes stop to obey the view before, enough of them that nothing can count by it any more.

Of a slot with R copies of which W make a change count, R - W + 1 that have stopped leave fewer than W. And since any W
have one of these among them, the newest that they have is all that ever counted. (Viewstamped Replication Revisited,
section 4.2; PacificA, section 2.)

Only a node that cannot have forgotten anything stands for that: the same instance in the same process as it was
admitted. One that was started anew may have come back with an older disk. When too few are left of the others,
everything that ever counted is still there if every node of the slot answers, and fewer than W of them have lost
anything: so after a restart of all nodes the mesh goes on by itself, and after the loss of too many it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from taskmesh.core.steps import Call, NodeError, Pause, Reply, Round, all_answered
from taskmesh.replication.join import PASSING
from taskmesh.replication.mandate import Mandate, checked
from taskmesh.replication.scripts import FENCE, STAND
from taskmesh.replication.view import Member, Row, View
from taskmesh.replication.view_register import Agreed, ViewSteps

#: After how long those who are lacking are asked again.
LOOK_AGAIN_S = 0.5


@dataclass(slots=True)
class Answers:
    """Who answered.

    Attributes:
        run_ids: Of each node that is the instance it is to be: the run id of its server.
        strangers: Nodes in whose place there is another instance, or none: what they knew is lost.
    """

    run_ids: dict[str, str] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)


class Judge:
    """Says whether those who answered are enough to go from one view to the next."""

    def __init__(self, view: View, answers: Answers) -> None:
        """Prepare.

        Args:
            view: The one that is being made.
            answers: Of those who answered so far.
        """
        self._before, self._view, self._answers = view.before, view, answers
        self._sources: dict[Row, Row | None] = {}

    def sources(self, slot: int) -> Row | None:
        """Return the nodes whose copies of a slot, together, are all that ever counted; None if they are not known."""
        if self._before is None:
            return ()
        row = self._before.table[slot]
        if row not in self._sources:
            self._sources[row] = self._sources_of(self._before, row, self._before.fences_needed(slot))
        return self._sources[row]

    def _sources_of(self, before: View, row: Row, needed: int) -> Row | None:
        run_ids = self._answers.run_ids
        kept = tuple(node for node in row if node in run_ids)
        sure = tuple(node for node in kept if _run_id(before.member(node)) == run_ids[node])
        if len(sure) >= needed:
            return sure
        everybody = all(node in run_ids or node in self._answers.strangers for node in row)
        return kept if everybody and len(kept) >= needed else None

    def must_hold(self, slot: int) -> Row | None:
        """Return the nodes that must have all of a slot before it goes on, primary first; None if too few answer."""
        row = self._view.table[slot]
        had = self.sources(slot) or ()
        able = sorted(
            (node for node in row if node in self._answers.run_ids),
            # those who have nearly everything, after the primary, which has to
            key=lambda node: (node != row[0], node not in had, row.index(node)),
        )
        needed = self._view.copies_needed(slot)
        return tuple(able[:needed]) if able[:1] == [row[0]] and len(able) >= needed else None

    def lacking(self) -> tuple[str, ...]:
        """Return the nodes for which it must be waited; none if those who answered are enough."""
        found: dict[str, None] = {}
        seen: set[tuple[Row, Row]] = set()
        for slot, row in enumerate(self._view.table):
            before = self._before.table[slot] if self._before is not None else ()
            if (before, row) in seen:
                continue
            seen.add((before, row))
            if self.sources(slot) is None:
                found.update(dict.fromkeys(node for node in before if node not in self._answers.run_ids))
                found.update(dict.fromkeys(node for node in before if node in self._answers.strangers))
            elif self.must_hold(slot) is None:
                found.update(dict.fromkeys(node for node in row if node not in self._answers.run_ids))
        return tuple(found)


def _is_new(view: View, member: Member) -> bool:
    """Tell whether a member, or this instance of it, is none of the view before."""
    before = view.before.member(member.id) if view.before is not None else None
    return before is None or before.instance != member.instance


def _run_id(member: Member | None) -> str:
    return member.run_id if member is not None else ""


def look(mandate: Mandate, view: View, version: int) -> ViewSteps[Answers]:
    """Wait until enough nodes answer for a view to be made; none of them stops to obey the one before.

    Args:
        mandate: Whose.
        view: The one that is to be made.
        version: Of the register that it is to take the place of.

    Raises:
        VersionConflict: The register holds something else by now.
    """

    def call(member: Member) -> Call:
        return Call(STAND, mandate.prefix, (), node=member.id)

    return (yield from _until_enough(mandate, view, version, call))


def fence(mandate: Mandate, view: View, version: int) -> ViewSteps[Answers]:
    """Have the nodes of a view, and of the one before it, wait for it; return who does, when those are enough.

    Args:
        mandate: Whose.
        view: The one that is being made, as the register has it.
        version: Of the register that has it.

    Raises:
        VersionConflict: The register holds something else by now.
        LeadershipLost: A node waits for a newer one already, or obeys a newer leader.
    """

    def call(member: Member) -> Call:
        # who is new is made a member by this
        name = member.id.encode() if _is_new(view, member) else b""
        return mandate.order(FENCE, view.waiting, member.id, member.instance.encode(), name)

    return (yield from _until_enough(mandate, view, version, call))


def concerned(view: View) -> tuple[Member, ...]:
    """Return the members that keep copies by a view, or did by the one before it."""
    rows = {*view.table, *(view.before.table if view.before is not None else ())}
    ids = {node for row in rows for node in row}
    return tuple(member for member in view.members if member.id in ids)


def _until_enough(
    mandate: Mandate, view: View, version: int, make_call: Callable[[Member], Call]
) -> ViewSteps[Answers]:
    members = concerned(view)
    wanted = {node for row in set(view.table) for node in row}
    told: tuple[str, ...] = ()
    while True:
        calls = [make_call(member) for member in members]

        def enough(replies: Sequence[Reply]) -> bool:
            if all_answered(replies) or any(_is_error(reply) for reply in replies):
                return True
            so_far = _read(view, members, calls, replies)  # noqa: B023 - asked while these calls are under way
            # who is to keep copies may be slow; who is given up need not be waited for
            return wanted <= {*so_far.run_ids, *so_far.strangers} and not Judge(view, so_far).lacking()

        replies = yield Round(calls, enough)
        answers = _read(view, members, calls, replies)
        lacking = Judge(view, answers).lacking()
        if not lacking:
            return answers
        if lacking != told:
            mandate.note(
                f"view {view.number} has to wait: too few copies are sure without {', '.join(lacking)}"
                f"{_emptied(answers, lacking)}"
            )
            told = lacking
        yield Pause(LOOK_AGAIN_S)
        # who waits for nodes may wait for ever, and not hear from them that another leader has gone on
        yield Agreed(mandate.register.check(version))


def _is_error(reply: Reply) -> bool:
    """Tell whether a node refuses in a way that ends the change."""
    return isinstance(reply, NodeError) and not reply.text.startswith(("STRANGER", *PASSING))


def _emptied(answers: Answers, lacking: tuple[str, ...]) -> str:
    emptied = [node for node in lacking if node in answers.strangers]
    return f"; of these {', '.join(emptied)} came back empty, or as another" if emptied else ""


def _read(view: View, members: Sequence[Member], calls: Sequence[Call], replies: Sequence[Reply]) -> Answers:
    answers = Answers()
    for member, call, reply in zip(members, calls, replies, strict=True):
        if isinstance(reply, NodeError) and reply.text.startswith("STRANGER"):
            answers.strangers.add(member.id)
            continue
        answer = checked(call, reply)
        if answer is None:
            continue
        _, instance, run_id = (word.decode() for word in answer[:3])
        if instance == member.instance or (not instance and _is_new(view, member)):
            answers.run_ids[member.id] = run_id
        else:
            answers.strangers.add(member.id)
    return answers
