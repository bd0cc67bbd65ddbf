"""What a view becomes when nodes go, begin anew, come back empty, are drained or weigh something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.replication.founding import Stand
from taskmesh.replication.plan import Goal, plan
from taskmesh.replication.view import View
from tests.unit.replication.small_mesh import SLOTS, make_view

NEW = "f" * 16


def stands(view: View, **changed: dict[str, str] | None) -> dict[str, Stand]:
    """Return what the members say; of those that are named something else, or nothing."""
    out = {}
    for member in view.members:
        more = changed.get(member.id, {})
        if more is not None:
            said = {
                "id": member.id,
                "instance": member.instance,
                "run_id": member.run_id,
                "mesh_id": "m",
                **more,
            }
            out[member.id] = Stand(epoch=view.epoch, token=0, slots=SLOTS, **said)
    return out


def planned(view: View, seen: dict[str, Stand], silent: tuple[str, ...] = ()) -> Goal:
    goal = plan(view, seen, silent, lambda _: NEW)
    assert goal is not None
    return goal


def after(view: View, goal: Goal) -> View:
    return replace(view, number=view.number + 1, members=goal.members, table=goal.table)


def states(goal: Goal) -> list[str]:
    return [member.state for member in goal.members]


def test_nothing_is_changed_where_all_is_well() -> None:
    view = make_view()
    assert plan(view, stands(view), (), lambda _: NEW) is None


def test_a_node_that_is_silent_only_for_a_moment_stays() -> None:
    view = make_view()
    assert plan(view, stands(view, n2=None), (), lambda _: NEW) is None


def test_who_is_gone_leaves_its_rows_and_the_others_keep_their_order() -> None:
    view = make_view()
    goal = planned(view, stands(view, n2=None), ("n2",))
    assert goal.is_urgent
    assert states(goal) == ["up", "lost", "up"]
    assert goal.table == tuple(tuple(node for node in row if node != "n2") for row in view.table)
    # and with that it is done, until somebody comes back
    assert plan(after(view, goal), stands(view, n2=None), ("n2",), lambda _: NEW) is None


def test_a_spare_node_gets_the_copies_of_one_that_is_gone() -> None:
    view = make_view(nodes=4)
    lost = after(view, planned(view, stands(view, n2=None), ("n2",)))
    goal = planned(lost, stands(view, n2=None), ("n2",))
    assert not goal.is_urgent
    assert "lack copies" in goal.why
    assert {len(row) for row in goal.table} == {3}
    for old, new in zip(lost.table, goal.table, strict=True):
        assert set(old) <= set(new)


def test_who_began_anew_leaves_first_and_comes_back_then() -> None:
    view = make_view()
    seen = stands(view, n1={"run_id": "another"})
    first = planned(view, seen)
    assert first.is_urgent
    assert all("n1" not in row for row in first.table)
    then = planned(after(view, first), seen)
    assert not then.is_urgent
    assert then.members[0].run_id == "another"
    assert then.members[0].instance == view.members[0].instance
    assert states(then) == ["up", "up", "up"]
    assert {len(row) for row in then.table} == {3}


def test_who_comes_back_empty_is_another_instance() -> None:
    view = make_view()
    lost = after(view, planned(view, stands(view, n3=None), ("n3",)))
    goal = planned(lost, stands(view, n3={"instance": "", "id": "", "run_id": "another"}))
    assert goal.members[2].instance == NEW
    assert states(goal) == ["up", "up", "up"]
    # it was told so, and is copied to
    told = planned(lost, stands(view, n3={"instance": NEW, "run_id": "another"}))
    assert (told.members, told.table) == (goal.members, goal.table)


def test_an_emptied_node_counts_as_gone_though_it_answers() -> None:
    view = make_view()
    goal = planned(view, stands(view, n3={"instance": "", "id": ""}))
    assert states(goal) == ["up", "up", "lost"]


def test_a_stranger_at_the_address_of_one_that_is_gone_is_left_alone() -> None:
    view = make_view()
    lost = after(view, planned(view, stands(view, n3=None), ("n3",)))
    for stranger in ({"mesh_id": "another"}, {"mesh_id": ""}, {"id": "n7"}):
        assert plan(lost, stands(view, n3={"instance": "e" * 16, **stranger}), (), lambda _: NEW) is None


def test_who_was_made_a_member_again_by_a_leader_that_is_lost_takes_part() -> None:
    """The next leader would have drawn another instance for it."""
    view = make_view()
    lost = after(view, planned(view, stands(view, n3=None), ("n3",)))
    goal = planned(lost, stands(view, n3={"instance": "e" * 16, "run_id": "another"}))
    assert goal.members[2].instance == "e" * 16
    assert states(goal) == ["up", "up", "up"]


def test_who_comes_back_and_would_keep_nothing_waits() -> None:
    """It would be up and no member of anything, and count as gone at the next look."""
    view = make_view(nodes=4, replicas=1)
    few = replace(view, slots=2, table=(("n1",), ("n2",)))
    lost = after(few, planned(few, stands(few, n4=None), ("n4",)))
    assert plan(lost, stands(few, n4={"instance": "", "id": ""}), (), lambda _: NEW) is None


def test_all_that_began_anew_go_on_together() -> None:
    """After the machine, or all of the nodes, were started again."""
    view = make_view()
    goal = planned(view, stands(view, n1={"run_id": "a"}, n2={"run_id": "b"}, n3={"run_id": "c"}))
    assert goal.table == view.table
    assert states(goal) == ["up", "up", "up"]
    assert [member.run_id for member in goal.members] == ["a", "b", "c"]


def test_nobody_guesses_where_all_copies_are_gone() -> None:
    view = make_view()
    assert plan(view, stands(view, n1=None, n2=None, n3=None), ("n1", "n2", "n3"), lambda _: NEW) is None


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_node_that_is_to_weigh_nothing_is_emptied(replicas: int) -> None:
    view = make_view(nodes=4, replicas=replicas)
    members = tuple(replace(m, weight=0) if m.id == "n2" else m for m in view.members)
    drained = replace(view, members=members)
    goal = planned(drained, stands(view))
    assert states(goal) == ["up", "drained", "up", "up"]
    assert not goal.is_urgent
    assert all("n2" not in row for row in goal.table)
    assert plan(after(drained, goal), stands(view), (), lambda _: NEW) is None


def test_a_weight_that_changes_moves_slots() -> None:
    view = make_view(nodes=4, replicas=1)
    members = tuple(replace(m, weight=10) if m.id == "n2" else m for m in view.members)
    goal = planned(replace(view, members=members), stands(view))
    assert sum(row[0] == "n2" for row in goal.table) < sum(row[0] == "n2" for row in view.table)


def test_fewer_nodes_than_copies_are_made_do_with() -> None:
    view = make_view()
    one = after(view, planned(view, stands(view, n2=None, n3=None), ("n2", "n3")))
    assert set(one.table) == {("n1",)}
    assert plan(one, stands(view, n2=None, n3=None), (), lambda _: NEW) is None
    back = planned(one, stands(view, n3=None))
    assert {len(row) for row in back.table} == {2}
