"""A node is killed while the nodes are to be changed for an operator: the loss is dealt with first, and at once.

"At once" is told by what the leader does, turn by turn: it never waits until a change is given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskmesh import TaskMesh
from taskmesh.nodes.node_changes import NodeChanges
from taskmesh.replication.plan import Goal
from taskmesh.replication.view import View
from taskmesh.replication.view_register import Kept
from taskmesh.scheduler import node_care
from taskmesh.scheduler.node_care import NodeCare
from tests.nodes import Nodes

KEY = "e" * 64
RUN_S = 90


class Leader(NodeCare):
    """A leader to whom something happens at some moment of a change.

    Attributes:
        views: By which it went.
        began: Why it began to change the view, each time.
        at: The moment: in what it tells.
        then: What happens.
    """

    at = ""
    then: Callable[[], None]

    def __init__(self, *args: Any) -> None:
        self.views: list[View] = []
        self.began: list[str] = []
        super().__init__(*args)

    def _follow(self, kept: Kept) -> None:
        super()._follow(kept)
        self.views.append(kept.view)

    def _note(self, what: str) -> None:
        super()._note(what)
        self._told(what)

    def _aim_at(self, view: View, goal: Goal) -> None:
        super()._aim_at(view, goal)
        self.began.append(goal.why)
        self._told("is followed")

    def _told(self, what: str) -> None:
        if self.at and self.at in what:
            self.at = ""
            self.then()


@pytest.fixture
def mesh(three_nodes: Nodes, request: pytest.FixtureRequest) -> Iterator[TaskMesh]:
    """Return a mesh of three copies, or of as many as the test asks for."""
    copies = getattr(request, "param", 3)
    with TaskMesh("losing", nodes=three_nodes.urls, key=KEY, slots=64, replicas=copies) as mesh:
        mesh.link.open()
        yield mesh


@pytest.fixture
def leader(mesh: TaskMesh, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leader]:
    """Return a leader that gives no change up by its time."""
    monkeypatch.setattr(node_care, "GIVE_UP_S", RUN_S)
    link = mesh.link.open()
    care = Leader(link, link.several, mesh.agreement, 1, lambda: True)
    yield care
    care.close()


def kill(nodes: Nodes, view: View, node: str) -> None:
    nodes.kill(nodes.urls.index(view.member(node).address))


def wish(mesh: TaskMesh, node: str, weight: int) -> None:
    """Write down what an operator wants."""
    changes = NodeChanges(mesh.agreement, "process")
    changes.wish(changes.weighing(node, weight))


def turns(leader: Leader, until: Callable[[View], bool]) -> list[View]:
    """Let the leader go on, and return the views that it went by until then."""
    over_s = time.monotonic() + RUN_S
    while not any(map(until, leader.views)):
        assert time.monotonic() < over_s
        time.sleep(leader.turn())
    end = next(at for at, view in enumerate(leader.views) if until(view))
    return leader.views[: end + 1]


def is_left_out(node: str) -> Callable[[View], bool]:
    return lambda view: view.member(node).state == "lost"


def has_weight(node: str, weight: int) -> Callable[[View], bool]:
    return lambda view: view.member(node).weight == weight


def test_a_loss_just_before_a_wish_is_acted_upon_goes_before_it(
    mesh: TaskMesh, leader: Leader, three_nodes: Nodes
) -> None:
    leader.turn()
    wish(mesh, "n3", 200)
    kill(three_nodes, mesh.link.view, "n2")
    leader._wishes_at_s = 0.0
    views = turns(leader, has_weight("n3", 200))
    assert leader.began == ["n2 is gone", "n3 has weight 200"]
    assert views[-1].member("n2").state == "lost"


@pytest.mark.parametrize("moment", ["is followed", "is being made"])
def test_a_loss_while_a_change_is_made_goes_before_it(
    mesh: TaskMesh, leader: Leader, three_nodes: Nodes, moment: str
) -> None:
    """When it was decided, and nobody stands still yet; or when it is written down, and all slots do."""
    leader.turn()
    first = mesh.link.view
    leader.at, leader.then = moment, lambda: kill(three_nodes, first, "n2")
    wish(mesh, "n3", 200)
    leader._wishes_at_s = 0.0
    views = turns(leader, is_left_out("n2"))
    # the weight itself is said at once; what comes of it for slots is not
    assert {view.table for view in views[:-1]} == {first.table}
    turns(leader, has_weight("n3", 200))


@pytest.mark.parametrize("mesh", [2], indirect=True)
def test_a_change_that_takes_long_while_all_answer_is_not_given_up(
    mesh: TaskMesh, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are many records it takes longer than anybody is waited for, and would never come to its end."""
    monkeypatch.setattr(node_care, "GIVE_UP_S", 0.0)
    wish(mesh, "n1", 0)
    turns(leader, lambda view: view.phase == "active" and not view.held_by("n1"))
    assert not any("brought to an end" in why for why in leader.began)
