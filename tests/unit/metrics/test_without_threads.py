"""A machine, or a container, that can have no more threads for a moment: what serves probes outlasts that."""

from __future__ import annotations

import pytest

from taskmesh.cli.probing import CannotAsk, Told, ask
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.mesh_values import MeshValues
from taskmesh.metrics.pages import Pages
from taskmesh.metrics.server import ProbeServer, place_of
from tests.support import no_more_threads, wait_until


def test_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    server = ProbeServer(place_of("127.0.0.1:0"), Pages(list, list, Samples))
    server.start()
    try:
        assert ask(f"{server.url}/livez", 90) == Told(200, "ok")
        with no_more_threads():
            for _ in range(20):  # more than are served at once
                with pytest.raises(CannotAsk):
                    ask(f"{server.url}/livez", 90)
        assert ask(f"{server.url}/livez", 90) == Told(200, "ok")
    finally:
        server.close()
    assert "is not answered: can't start new thread" in caplog.text


def test_the_nodes_are_asked_again_when_there_are_threads() -> None:
    values = MeshValues(lambda: None, lambda _: pytest.fail("nobody to agree with"), lambda: ())
    with no_more_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
        values.read()
    assert "taskmesh_mesh_look_seconds" not in values.read().text()
    # it may be told of nothing in time, while the thread is under way
    wait_until(lambda: values._under_way is None)
