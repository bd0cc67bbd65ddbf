"""Promotion: a node that is to lead slots makes, from its copies, what stands on a primary only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from taskmesh.core.steps import Call
from taskmesh.replication.fencing import Answers
from taskmesh.replication.mandate import Ask, Mandate, together
from taskmesh.replication.scripts import LINE_STEP, PROMOTE, PROMOTE_KEYS, PROMOTE_LINES, PROMOTE_STEP, SETS
from taskmesh.replication.view import View
from taskmesh.replication.view_register import ViewSteps


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
    tasks, count = [], 0
    for member in view.members:
        node = member.id
        led = view.led_by(node)
        kept = _kept(view, node, answers, changed)
        slots = [
            slot
            for slot in led
            if slot not in kept and ((node, slot) not in empty or (node, slot) in changed)
        ]
        # keys that it held long ago, in slots that are empty now, would be in the way as well
        if len(kept) < len(led):
            tasks.append(_rebuild(mandate, view, node, slots, kept))
            count += len(slots)
    yield from together(tasks)
    return count


def _kept(view: View, node: str, answers: Answers, changed: Collection[tuple[str, int]]) -> set[int]:
    """Return the slots that a node led in the view before, in the same life, and of which nothing has changed since."""
    before = view.before
    member = before.member(node) if before is not None else None
    if before is None or member is None or answers.run_ids.get(node) != member.run_id:
        return set()
    led = set(view.led_by(node))
    return {slot for slot in before.led_by(node) if slot in led and (node, slot) not in changed}


def _rebuild(
    mandate: Mandate, view: View, node: str, slots: Sequence[int], kept: Collection[int]
) -> Ask[None]:
    def order(script_words: tuple[bytes, ...]) -> Call:
        return mandate.order(PROMOTE, view.waiting, node, *script_words)

    chars = b"".join(b"1" if slot in kept else b"0" for slot in range(view.slots))
    for which in (b"gate", b"ikid"):
        cursor = b"0"
        while True:
            cursor = yield mandate.order(PROMOTE_KEYS, view.waiting, node, chars, which, cursor)
            if cursor == b"0":
                break
    for slot in slots:
        for kind in SETS:
            cursor = b"0"
            while True:
                cursor = yield order((b"%04x" % slot, kind, cursor, b"%d" % PROMOTE_STEP))
                if cursor == b"0":
                    break
    while (yield mandate.order(PROMOTE_LINES, view.waiting, node, b"%d" % LINE_STEP)):
        pass
