"""What is told of the nodes of a mesh of several."""

from __future__ import annotations

import pytest

from taskmesh.cli.node_list import NodeReport, changes_of
from taskmesh.errors import NodeUnavailable
from taskmesh.replication.view import Member


def _silent(node: str, state: str) -> NodeReport:
    member = Member(node, f"redis://{node}:1", "0" * 16, "run", state=state)
    return NodeReport(member, 0, 0, None, f"does not answer: {member.address}: refused", is_silent=False)


def test_where_no_node_answers_those_are_named_that_keep_something():
    with pytest.raises(NodeUnavailable) as caught:
        changes_of([_silent("n1", "drained"), _silent("n2", "up"), _silent("n3", "lost")])
    assert str(caught.value) == "no node answers: redis://n2:1: refused; redis://n3:1: refused"
    with pytest.raises(NodeUnavailable, match="n1:1: refused"):
        changes_of([_silent("n1", "drained")])
