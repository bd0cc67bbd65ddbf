"""Transactions on three nodes, whose makers are killed."""

from __future__ import annotations

import time

from taskmesh import TaskMesh
from tests.integration.transactors import check, is_done, kill_many
from tests.nodes import Nodes

KEY = "c" * 64


def test_whoever_is_killed_leaves_all_or_none_on_any_node(three_nodes: Nodes) -> None:
    with TaskMesh("transacting", nodes=three_nodes.urls, key=KEY) as mesh:
        heard = kill_many(mesh, three_nodes.urls, KEY, 10, seed=int(time.time()))
        check(mesh, heard)
        assert is_done(mesh, 0)
