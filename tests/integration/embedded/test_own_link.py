"""A supervisor's own link: after its end nobody who still uses it starts the embedded node again."""

from __future__ import annotations

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes import embedded
from taskmesh.results.read import read
from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.own_link import own_link
from taskmesh.worker.template import facts_of


@pytest.mark.parametrize("nodes", [1, 3])
def test_it_starts_no_node_after_its_end(state_root, nodes):
    embedded.ensure_all("shop", nodes)
    with TaskMesh("shop") as mesh:
        link = own_link(facts_of(mesh, WorkerOptions(app="", name="w")))
    link.reach(90.0)
    link.end()
    embedded.stop("shop")
    with pytest.raises(NodeUnavailable):
        link.ask(lambda left_s: read(link.session, ["nobody"], patience_s=left_s), within_s=0.2)
    assert embedded.running() == []
