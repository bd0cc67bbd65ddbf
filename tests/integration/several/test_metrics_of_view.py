"""Metrics of a process that has nothing to ask the nodes for, such as a scheduler that stands by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskmesh.metrics import mesh_values as module
from taskmesh.metrics.mesh_values import MeshValues
from taskmesh.nodes.agreement import Agreement
from taskmesh.nodes.link import Link
from tests.integration.several.conftest import activate, view_of
from tests.nodes import Nodes
from tests.support import wait_until


def test_a_node_that_came_back_is_not_told_as_away_for_ever(
    three_nodes: Nodes, make_link: Callable[..., Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells an idle process that its view is old: it has to look, or an alert is never over."""
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    activate(three_nodes, view_of(three_nodes, 1, without=("n2",)))
    link = make_link().open()
    values = MeshValues(lambda: link, lambda its: Agreement(its, ()), tuple)
    try:
        wait_until(lambda: "taskmesh_nodes_up 2" in values.read().text(), what="it tells of two")
        activate(three_nodes, view_of(three_nodes, 2))
        wait_until(lambda: "taskmesh_view_epoch 2" in values.read().text(), what="it tells of the new view")
        wait_until(lambda: "taskmesh_nodes_up 3" in values.read().text(), what="it tells of all three")
    finally:
        values.close()
