"""Candidates in threads of the test process, each with connections of its own, on a mesh of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmesh import TaskMesh
from taskmesh.scheduler.candidate import Standing, declared_in
from tests.faults.stage import chaos_node, make_scene, make_server, proxy, scene, server
from tests.patience import wait_long_for_acceptors

__all__ = ["chaos_node", "make_scene", "make_server", "proxy", "scene", "server"]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Have the processes of the tests themselves take no acceptor for silent that is only slow."""
    with pytest.MonkeyPatch.context() as patch:
        wait_long_for_acceptors(patch)
        yield


@pytest.fixture
def stand(mesh: TaskMesh) -> Iterator[Callable[..., Standing]]:
    """Make candidates of the `mesh` fixture; each is ended with the test."""
    made: list[tuple[TaskMesh, Standing]] = []

    def make(name: str = "ann", **settings: Any) -> Standing:
        given = {"nodes": list(mesh.settings.nodes), "key": mesh.settings.key, **settings}
        own = TaskMesh(mesh.name, **given)
        standing = Standing(own.link, own.agreement, name, declared=declared_in(mesh.declared_schedules()))
        standing.start()
        made.append((own, standing))
        return standing

    yield make
    for own, standing in made:
        standing.join(90)
        own.close()
