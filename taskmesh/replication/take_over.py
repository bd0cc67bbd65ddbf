"""A view change: from one view to the next, with nothing lost that ever counted. One leader does it, step by step.

1. The register says that the view is moving: to what, and from which view, the last that counted.
2. Enough nodes are fenced: they obey no view any more (`fencing.py`).
3. Of each record the newest that they have is brought to the new primary, and to as many as must have it
   (`equalize.py`).
4. Primaries rebuild what stands on a primary only (`promotion.py`).
5. The register says that the view is active, if it still says what it said after the first step.
6. The nodes are told. Further copies are made from then on, by whoever levels backups (`level.py`).

What only says something else of members, and leaves every slot where it is, needs the last two steps only.

After a crash at any point whoever leads next looks at the register (`carry_on`). A view that is moving it replaces by
the next number: what a leader of before has sent, and arrives late, is for another number, and refused. One that is
active it tells the nodes again. (PacificA, section 2.4; Vertical Paxos, section 3.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from taskmesh.core.steps import Call, NodeError, Pause, Reply, Round, all_answered
from taskmesh.errors import ImpossibleView
from taskmesh.replication.equalize import equalize
from taskmesh.replication.fencing import Answers, Judge, fence, look
from taskmesh.replication.mandate import Mandate, Silent, checked
from taskmesh.replication.packed_view import pack
from taskmesh.replication.plan import Goal
from taskmesh.replication.promotion import promote
from taskmesh.replication.scripts import ACTIVATE
from taskmesh.replication.view import ACTIVE, DRAINED, LEARNER, MOVING, UP, Member, View
from taskmesh.replication.view_register import Agreed, Kept, ViewSteps

#: After how long it is begun anew when a node fell silent.
AGAIN_S = 0.5
#: How often nodes are told of a view that do not answer, before it is left to whoever looks after them.
TELL_TRIES, TELL_AGAIN_S = 5, 0.2


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What came of it.

    Attributes:
        kept: The register, with the new view.
        copied: How many records were copied while the nodes waited.
        promoted: Of how many slots a primary rebuilt its indexes.
        deaf: Nodes that could not be told yet.
    """

    kept: Kept
    copied: int
    promoted: int
    deaf: tuple[str, ...]


def as_begun(moving: View) -> Goal:
    """Return the goal of a view that is moving: what whoever began it wanted."""
    return Goal(moving.members, moving.table, "another leader began it", is_urgent=True)


def carry_on(mandate: Mandate, known: View, goal_of: Callable[[View], Goal] = as_begun) -> ViewSteps[Kept]:
    """Bring to an end what a leader of before has begun; return what the register holds then, or is to come after.

    Args:
        mandate: Whose.
        known: The newest view that a node obeys. It counts where the register says nothing, as that of a new mesh.
        goal_of: Returns what a view that is moving is to become: as nodes are by now, that may be something else than
            what was begun.

    Raises:
        VersionConflict, LeadershipLost: Another leader is at it.
        AgreementError: The register cannot be read or written.
    """
    kept = newest((yield Agreed(mandate.register.read())), known)
    view = kept.view
    if view is None:
        return kept
    if view.phase == MOVING:
        mandate.note(f"view {view.number} was being made by another leader: it is replaced by the next")
        done = yield from take_over(mandate, kept, goal_of(view))
        return done.kept
    yield from tell(mandate, view)
    return kept


def newest(kept: Kept, known: View) -> Kept:
    """Return what counts: what the register holds, unless nodes obey something newer, for it was active once."""
    if kept.view is None or kept.view.number < known.number:
        return Kept(kept.version, known)
    return kept


def take_over(mandate: Mandate, kept: Kept, goal: Goal) -> ViewSteps[TakenOver]:
    """Go from the view that the register holds to another.

    Args:
        mandate: Whose.
        kept: What the register holds, as it was read.
        goal: What the view is to become.

    Raises:
        ImpossibleView: The goal is none.
        VersionConflict: The register holds something else by now: read it, and decide anew.
        LeadershipLost: A node obeys a newer leader, or is in a newer view.
        AgreementError: The register could not be written; whether it was tells the next reading.
    """
    if kept.view is not None and serves_as_before(kept.view, goal):
        return (yield from _restate(mandate, kept.view, kept.version, goal))
    view = moving(kept, goal)
    # nobody stops to work for a change that cannot be brought to an end
    yield from look(mandate, view, kept.version)
    kept = yield Agreed(mandate.register.write(view, kept.version))
    mandate.note(f"view {view.number} is being made: {goal.why}")
    prepared = yield from _prepare(mandate, view, kept.version)
    active = admitted(view, prepared.answers)
    kept = yield Agreed(mandate.register.write(active, kept.version))
    mandate.note(
        f"view {active.number} is active: {prepared.copied} records copied, {prepared.promoted} slots promoted"
    )
    deaf = yield from tell(mandate, active, view.before, wait_for=tuple(prepared.answers.run_ids))
    return TakenOver(kept, prepared.copied, prepared.promoted, deaf)


def serves_as_before(view: View, goal: Goal) -> bool:
    """Tell whether the same nodes, on the same servers, are to keep their slots as in an active view."""
    if view.phase != ACTIVE or goal.is_urgent or goal.table != view.table:
        return False
    before, after = (
        {(each.id, each.address, each.instance, each.run_id) for each in members if each.state == UP}
        for members in (view.members, goal.members)
    )
    return before == after


def _restate(mandate: Mandate, last: View, version: int, goal: Goal) -> ViewSteps[TakenOver]:
    """Say something else of members than the view says, at once: a weight, a domain, who is to learn.

    What counts by one of the two views counts by the other, for the same copies make it up; so nobody is fenced, and
    there is nothing to compare, copy or promote. Who has heard of one only is told of the other.
    """
    view = View(last.number + 1, ACTIVE, last.slots, last.replicas, goal.members, goal.table)
    kept = yield Agreed(mandate.register.write(view, version))
    mandate.note(f"view {view.number} is active: who has which slots stays as it was")
    deaf = yield from tell(mandate, view, last, wait_for=view.nodes)
    return TakenOver(kept, 0, 0, deaf)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Nodes that have what they need for a view."""

    answers: Answers
    copied: int
    promoted: int


def _prepare(mandate: Mandate, view: View, version: int) -> ViewSteps[_Prepared]:
    """Fence, copy and promote, until that was done by nodes of which none forgot anything meanwhile."""
    changed: set[tuple[str, int]] = set()
    copied = 0
    while True:
        try:
            answers = yield from fence(mandate, view, version)
            done = yield from equalize(mandate, view, Judge(view, answers))
            changed |= done.changed
            copied += done.copied
            promoted = yield from promote(mandate, view, answers, changed, done.empty)
            # who was started anew meanwhile may have forgotten what it was given
            after = yield from fence(mandate, view, version)
            if _same_lives(answers, after):
                return _Prepared(answers, copied, promoted)
            mandate.note(
                f"view {view.number}: a node was started anew meanwhile; its copies are looked at again"
            )
        except Silent as silent:
            mandate.note(f"view {view.number}: {silent}; those who are left are asked anew")
        yield Pause(AGAIN_S)


def moving(kept: Kept, goal: Goal) -> View:
    """Return the view that says where it goes.

    Raises:
        ImpossibleView: The goal is none, or there is nothing to come from.
    """
    last = kept.view
    before = last if last is None or last.phase != MOVING else last.before
    if last is None or before is None:
        raise ImpossibleView("there is no view to come from: the mesh has to be founded first")
    return View(last.number + 1, MOVING, before.slots, before.replicas, goal.members, goal.table, before)


def admitted(view: View, answers: Answers) -> View:
    """Return the active view, which admits the servers that were levelled in it."""
    members = tuple(
        replace(member, run_id=answers.run_ids.get(member.id, member.run_id)) for member in view.members
    )
    return replace(view.activated(), members=members)


def _same_lives(before: Answers, after: Answers) -> bool:
    return all(after.run_ids.get(node) == run_id for node, run_id in before.run_ids.items())


def teach(mandate: Mandate, view: View, learner: Member) -> ViewSteps[bool]:
    """Have a node that is to take part wait beside a view for its copies: it leads nothing, and nobody counts on it.

    From then on it can be made level under the epoch of the view (`level.Learner`). Who is nobody yet becomes it.

    Args:
        mandate: Whose.
        view: The active one.
        learner: Who is to take part.

    Returns:
        Whether it answered, as this member.

    Raises:
        LeadershipLost: It obeys a newer leader, or a newer view.
    """
    words = (learner.instance.encode(), pack(view), b"0" * view.slots, learner.id.encode())
    call = mandate.order(ACTIVATE, view.epoch, learner.id, *words)
    (reply,) = yield Round([call], all_answered)
    return _was_told(call, reply)


def tell(
    mandate: Mandate, view: View, before: View | None = None, *, wait_for: Sequence[str] = ()
) -> ViewSteps[tuple[str, ...]]:
    """Have all nodes obey an active view; return those that could not be told.

    Args:
        mandate: Whose.
        view: The view. Nodes that obey it already are told once more.
        before: The one before it. Who was emptied on purpose is told only of the view that says so: at its address
            may be anybody after that.
        wait_for: Nodes that are asked again when they do not answer.

    Raises:
        LeadershipLost: A node obeys a newer leader, or is in a newer view.
    """
    left = [
        member
        for member in view.members
        if member.state in (UP, LEARNER) or (member.state == DRAINED and _was_another(member, before))
    ]
    packed = pack(view)
    for attempt in range(TELL_TRIES):
        calls = [_activation(mandate, view, packed, member) for member in left]

        def enough(replies: Sequence[Reply], told: Sequence[Call] = calls) -> bool:
            answered = {
                call.node for call, reply in zip(told, replies, strict=True) if isinstance(reply, bytes)
            }
            asked = {call.node for call in told}
            return all_answered(replies) or (bool(wait_for) and asked & set(wait_for) <= answered)

        replies = yield Round(calls, enough)
        left = [
            member
            for member, call, reply in zip(left, calls, replies, strict=True)
            if not _was_told(call, reply)
        ]
        if not any(member.id in wait_for for member in left) or attempt == TELL_TRIES - 1:
            break
        yield Pause(TELL_AGAIN_S)
    return tuple(member.id for member in left)


def _was_another(member: Member, before: View | None) -> bool:
    """Tell whether a member had another state, or kept anything, in the view before."""
    earlier = before.member(member.id) if before is not None else None
    if before is None or earlier is None:
        return False
    return earlier.state != member.state or bool(before.held_by(member.id))


def _activation(mandate: Mandate, view: View, packed: bytes, member: Member) -> Call:
    words = (member.instance.encode(), packed, view.own(member.id), b"")
    return mandate.order(ACTIVATE, view.epoch, member.id, *words)


def _was_told(call: Call, reply: Reply) -> bool:
    """Tell whether a node obeys now; one that came back as another instance is none of ours."""
    if isinstance(reply, NodeError) and reply.text.startswith("STRANGER"):
        return False
    return checked(call, reply) is not None
