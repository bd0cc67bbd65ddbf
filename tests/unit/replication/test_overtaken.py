"""Whether a change that waits for nodes is still worth it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.replication.overtaken import overtaken
from taskmesh.replication.plan import Goal, plan
from tests.unit.replication.small_mesh import make_view
from tests.unit.replication.test_plan import NEW, stands

VIEW = make_view()
#: What an operator wants, and what is to be brought to an end.
WISH = Goal(VIEW.members, VIEW.table, "n1 has weight 200", is_urgent=False)
BEGUN = replace(WISH, is_urgent=True)


def gone(*nodes: str) -> Goal | None:
    return plan(VIEW, stands(VIEW, **dict.fromkeys(nodes)), nodes, lambda _: NEW)


@pytest.mark.parametrize("goal", [WISH, BEGUN])
def test_a_change_that_needs_a_node_that_is_gone_gives_way(goal: Goal) -> None:
    assert overtaken(goal, gone("n2"), {"n2"}) == f"n2 is gone, which goes before: {goal.why}"


@pytest.mark.parametrize("goal", [WISH, BEGUN])
def test_a_change_whose_nodes_all_answer_goes_on(goal: Goal) -> None:
    assert overtaken(goal, None, ()) == ""


def test_only_what_may_be_put_off_is_thought_over_for_who_is_silent() -> None:
    assert overtaken(WISH, None, {"n2"}).startswith("n2 does not answer")
    assert overtaken(BEGUN, None, {"n2"}) == ""


def test_a_loss_that_is_being_dealt_with_goes_on_unless_another_is_lost() -> None:
    loss = gone("n2")
    assert loss is not None
    assert overtaken(loss, loss, {"n2"}) == ""
    assert overtaken(loss, None, ()) == ""
    assert overtaken(loss, gone("n2", "n3"), {"n2", "n3"}).startswith("n2 is gone; n3 is gone")
