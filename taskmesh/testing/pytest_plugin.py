"""Fixtures for pytest: a mesh for each test, and a worker that runs its tasks. Nothing to configure.

    def test_sums(mesh, mesh_worker):
        @mesh.task
        def add(x, y):
            return x + y

        assert add.delay(1, 2).get(timeout=10) == 3

The node is an embedded one, private to this test run, started when the first test asks for it and gone at the
end. Each test has a mesh of its own on it, under a name of its own: nothing of one test reaches another.

Tasks run in a thread of the test process, one at a time (see `ThreadWorker`). A function at the top of a module
is run as it is; one defined inside a test, or a lambda, travels by value as it does in production: it returns
things, but what it changes around itself, the test does not see.

To test the tasks of an app, override the fixture `mesh`, and `mesh_worker` follows:

    @pytest.fixture
    def mesh():
        from shop.app import mesh
        return mesh

The app's mesh then lives on a node of the test's own as well, until the test ends: see `own_node`.

To change settings of the mesh, override `mesh_settings`, which returns the arguments of `TaskMesh`:

    @pytest.fixture
    def mesh_settings():
        return {"eager": True}

This module is imported by each run of pytest where TaskMesh is installed; it costs next to nothing until used.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.testing.thread_worker import ThreadWorker

_numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Move the mesh that an overridden fixture `mesh` returns to a node of the test's own, as long as that lasts."""
    value = yield
    if fixturedef.argname == "mesh" and fixturedef.func.__module__ != __name__:
        # what has a fixture of this name for a purpose of its own has not imported TaskMesh
        app = sys.modules.get("taskmesh.app")
        if app is not None and isinstance(value, app.TaskMesh):
            from taskmesh.testing.own_node import own_node

            stack = ExitStack()
            stack.enter_context(own_node(value))
            fixturedef.addfinalizer(stack.close)
    return value


@pytest.fixture(scope="session")
def _taskmesh_node() -> Iterator[Callable[[], dict[str, Any]]]:
    """Return what starts the node of this run when first called, and returns the settings that lead to it."""
    from taskmesh.nodes.embedded_private import PrivateNode, start_private

    node: PrivateNode | None = None
    # a key of its own: the account's key file is neither needed nor made
    key = os.urandom(32).hex()

    def settings() -> dict[str, Any]:
        nonlocal node
        if node is None:
            node = start_private("pytest")
        return {"nodes": [f"unix://{node.socket_path}"], "key": key}

    yield settings
    if node is not None:
        node.close()


@pytest.fixture
def mesh_settings() -> dict[str, Any]:
    """Settings of the `mesh` fixture, as arguments of `TaskMesh`: none. Override it to give some."""
    return {}


@pytest.fixture
def mesh(mesh_settings: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[TaskMesh]:
    """Return a mesh of the test's own, on a private embedded node. Closed at the end."""
    from taskmesh.app import TaskMesh

    settings = dict(mesh_settings)
    name = settings.pop("name", f"test-{os.getpid()}-{next(_numbers)}")
    if not settings.keys() & {"nodes", "embedded", "embedded_nodes"} and not settings.get("eager"):
        settings = request.getfixturevalue("_taskmesh_node")() | settings
    with TaskMesh(name, **settings) as made:
        yield made


@pytest.fixture
def mesh_worker(mesh: TaskMesh) -> Iterator[ThreadWorker]:
    """Return a running worker of the `mesh` fixture; `stop()` and `start()` it as needed. Stopped at the end."""
    from taskmesh.testing.thread_worker import ThreadWorker

    with ThreadWorker(mesh) as worker:
        yield worker
