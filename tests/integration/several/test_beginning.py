"""A child of a worker that begins while no node answers."""

from __future__ import annotations

import time
from itertools import pairwise

from taskmesh import TaskMesh
from taskmesh.nodes.link import Link
from taskmesh.worker import patience

TRIES = 4


def test_it_tries_ever_less_often_and_says_so_once(make_nodes, caplog, monkeypatch):
    monkeypatch.setattr(patience, "TELL_S", 3600.0)
    nodes = make_nodes(2)
    with TaskMesh("many", nodes=nodes.urls, key="s" * 40) as before:
        before.link.open()
    nodes.kill(0)
    nodes.kill(1)
    tried_s: list[float] = []
    with TaskMesh("many", nodes=nodes.urls, key="s" * 40) as mesh:

        def begin() -> Link:
            tried_s.append(time.monotonic())
            if len(tried_s) == TRIES:
                nodes.start(0)
                nodes.start(1)
            return mesh.link.open()

        assert patience.begin_patiently(begin, "a child of worker w").several is not None
    pauses_s = [after - before for before, after in pairwise(tried_s)][: TRIES - 1]
    assert len(tried_s) >= TRIES
    assert all(pause_s >= patience.AGAIN_S_MIN * 2**at for at, pause_s in enumerate(pauses_s))
    assert caplog.text.count("a child of worker w waits for the node: no node answers: ") == 1
