"""One node for all tests of locks and files; each test has a mesh of its own on it, and processes that hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.embedded import start_private
from taskmesh.nodes.server_binary import find_server
from tests.integration.locks.holders import Holder
from tests.patience import wait_long_for_acceptors

_numbers = count(1)


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


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    with start_private("locks", durability="process") as node:
        yield f"unix://{node.socket_path}"


@pytest.fixture
def make_mesh(url) -> Iterator[Callable[[], TaskMesh]]:
    """Make the mesh of this test, each time as if in another process."""
    name = f"locks{next(_numbers)}"
    made = []

    def make() -> TaskMesh:
        made.append(TaskMesh(name, nodes=[url]))
        return made[-1]

    yield make
    for mesh in made:
        mesh.close()


@pytest.fixture
def mesh(make_mesh) -> TaskMesh:
    return make_mesh()


@pytest.fixture
def other(make_mesh) -> TaskMesh:
    return make_mesh()


@pytest.fixture
def make_holder(mesh, url) -> Iterator[Callable[[], Holder]]:
    """Start processes that hold locks of this test's mesh."""
    made = []

    def make(through: str = "") -> Holder:
        made.append(Holder(mesh.name, through or url))
        return made[-1]

    yield make
    for holder in made:
        holder.close()
