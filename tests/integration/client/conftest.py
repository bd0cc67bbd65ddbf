"""Two real workers' children on a private node, for all tests of callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server
from tests.apps import client_tasks
from tests.integration.client.holding import Holds


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture(scope="session")
def node_exists() -> None:
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def app(node_exists) -> Iterator[ModuleType]:
    """The app, served by two children."""
    with client_tasks.mesh.workers(2):
        yield client_tasks
    client_tasks.mesh.close()


@pytest.fixture
def mesh(app):
    return app.mesh


@pytest.fixture
def holds(app, tmp_path: Path) -> Iterator[Holds]:
    """Tasks that run until they are let go; all are at the end."""
    held = Holds(app, tmp_path)
    yield held
    held.let_all_go()


@pytest.fixture(autouse=True)
def never_look_again(monkeypatch) -> None:
    """Have nobody look again at what he waits for, nor wake by himself.

    So whoever misses a notice, or is not woken, waits for ever, and the test fails.
    """
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.waiter.LOOK_AGAIN_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.waiter.LISTEN_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.result.AsyncResult._last_look", lambda handle: None)


@pytest.fixture
def make_mesh(app) -> Iterator[Callable[..., TaskMesh]]:
    """Make more meshes on the same node, each as if it were another process: with a channel of its own."""
    made = []

    def make(**settings: Any) -> TaskMesh:
        url = app.mesh.address().url
        mesh = TaskMesh(app.mesh.name, nodes=[url], **settings)
        mesh.tasks.update(app.mesh.tasks)
        made.append(mesh)
        return mesh

    yield make
    for mesh in made:
        mesh.close()


@pytest.fixture
def other(make_mesh) -> TaskMesh:
    """The mesh as another process sees it."""
    return make_mesh()
