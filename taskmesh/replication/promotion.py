"""Promotion: a node that is to lead slots makes, from its copies, what stands on a primary only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from taskmesh.core import keys
from taskmesh.core.steps import Call
from taskmesh.replication.equalize import groups
from taskmesh.replication.fencing import Answers
from taskmesh.replication.mandate import Ask, Mandate, together
from taskmesh.replication.scripts import (
    LINE_STEP,
    LINES_ONLY,
    PROMOTE,
    PROMOTE_ANEW,
    PROMOTE_KEYS,
    PROMOTE_LINES,
    PROMOTE_STEP,
    SETS,
)
from taskmesh.replication.view import View
from taskmesh.replication.view_register import ViewSteps

#: Slots that one conversation goes through; some of these are held with a node side by side.
SLOTS_AT_ONCE = 8


def promote(
    mandate: Mandate,
    view: View,
    answers: Answers,
    changed: Collection[tuple[str, int]],
    empty: Collection[tuple[str, int]],
) -> ViewSteps[int]:
    """Have the primaries of a view rebuild what they lack, and return of how many slots that was.

    Args:
        mandate: Whose.
        view: The one that is being made.
        answers: Of the nodes that wait for it.
        changed: Nodes and slots of which copies were changed since the view before.
        empty: Nodes and slots that hold nothing.

    Raises:
        Silent: One of these does not answer any more.
        LeadershipLost: One of these is further.
    """
    nodes: list[tuple[str, set[int]]] = []
    parts: list[tuple[str, Sequence[int], Sequence[bytes]]] = []
    anew: list[str] = []
    count = 0
    leading = [member.id for member in view.members if view.led_by(member.id)]
    begun = yield from together([_has_begun(mandate, node) for node in leading])
    for node, was_begun in zip(leading, begun, strict=True):
        led = view.led_by(node)
        kept = set() if was_begun else _kept(view, node, answers, changed)
        slots = [
            slot
            for slot in led
            if slot not in kept and ((node, slot) not in empty or (node, slot) in changed)
        ]
        # keys that it held long ago, in slots that are empty now, would be in the way as well
        if len(kept) < len(led):
            nodes.append((node, kept))
            parts += [(node, some, SETS) for some in groups(slots, SLOTS_AT_ONCE)]
            count += len(slots)
        if not kept or _leads_less(view, node):
            anew.append(node)
            lined = [slot for slot in led if slot in kept and (node, slot) not in empty]
            parts += [(node, some, LINES_ONLY) for some in groups(lined, SLOTS_AT_ONCE)]
    idle = [node for node in view.nodes if node in answers.run_ids and node not in leading]
    yield from together([_forget_lines(mandate, view, node) for node in (*anew, *idle)])
    yield from together([_forget_keys(mandate, view, node, kept) for node, kept in nodes])
    yield from together([_gather(mandate, view, node, some, sets) for node, some, sets in parts])
    yield from together(
        [_line_up(mandate, view, node) for node in dict.fromkeys([*anew, *(node for node, _ in nodes)])]
    )
    return count


def _kept(view: View, node: str, answers: Answers, changed: Collection[tuple[str, int]]) -> set[int]:
    """Return the slots that a node led in the view before, in the same life, and of which nothing has changed since."""
    before = view.before
    member = before.member(node) if before is not None else None
    if before is None or member is None or answers.run_ids.get(node) != member.run_id:
        return set()
    led = set(view.led_by(node))
    return {slot for slot in before.led_by(node) if slot in led and (node, slot) not in changed}


def _leads_less(view: View, node: str) -> bool:
    """Tell whether a node leads some slots no more.

    Its lines hold what waits in these, between the rest, and would have it twice when the node leads them again. To go
    through the lines costs as much as to make them anew, which whoever leads more does meanwhile.
    """
    return view.before is not None and not set(view.before.led_by(node)) <= set(view.led_by(node))


def _has_begun(mandate: Mandate, node: str) -> Ask[bool]:
    """Tell whether a node was being promoted for a view that came to nothing: nothing is as it was there."""
    return bool((yield Call(None, mandate.prefix, (b"EXISTS", keys.promoting(mandate.prefix)), node=node)))


def _forget_lines(mandate: Mandate, view: View, node: str) -> Ask[None]:
    """Forget what the lines of a node hold."""
    yield mandate.order(PROMOTE_ANEW, view.waiting, node)


def _forget_keys(mandate: Mandate, view: View, node: str, kept: Collection[int]) -> Ask[None]:
    """Forget what keys held in slots that the node did not lead."""
    chars = b"".join(b"1" if slot in kept else b"0" for slot in range(view.slots))
    for which in (b"gate", b"ikid"):
        cursor = b"0"
        while True:
            cursor = yield mandate.order(PROMOTE_KEYS, view.waiting, node, chars, which, cursor)
            if cursor == b"0":
                break


def _gather(
    mandate: Mandate, view: View, node: str, slots: Sequence[int], sets: Sequence[bytes]
) -> Ask[None]:
    """Rebuild the indexes of some slots, but for the lines, for which it is gathered what waits."""
    for slot in slots:
        for kind in sets:
            cursor = b"0"
            while True:
                words = (b"%04x" % slot, kind, cursor, b"%d" % PROMOTE_STEP)
                cursor = yield mandate.order(PROMOTE, view.waiting, node, *words)
                if cursor == b"0":
                    break


def _line_up(mandate: Mandate, view: View, node: str) -> Ask[None]:
    """Put what was gathered into its lines."""
    while (yield mandate.order(PROMOTE_LINES, view.waiting, node, b"%d" % LINE_STEP)):
        pass
