"""A mesh with a data node and acceptors of its own, all real servers whose processes and disks may be harmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from tests.faults.server import ALWAYS, Server
from tests.patience import wait_long_for_acceptors


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
def make_acceptors(tmp_path: Path) -> Iterator[Callable[..., list[Server]]]:
    """Start so many servers to be acceptors."""
    made: list[Server] = []

    def make(count: int = 3, *, fsync: str = ALWAYS) -> list[Server]:
        begin = len(made)
        made.extend(Server(tmp_path / f"acceptor-{begin + at}", fsync=fsync) for at in range(count))
        return made[begin:]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def data_node(tmp_path: Path) -> Iterator[Server]:
    """A server of the user's own, where the messages are."""
    server = Server(tmp_path / "data")
    yield server
    server.close()


@pytest.fixture
def make_mesh(data_node: Server) -> Iterator[Callable[..., TaskMesh]]:
    """Make a mesh as another process would: nothing is shared but the servers."""
    made: list[TaskMesh] = []

    def make(acceptors: list[Server], **settings: object) -> TaskMesh:
        urls = [server.url for server in acceptors]
        mesh = TaskMesh("agreed", nodes=[data_node.url], key="0" * 32, acceptors=urls, **settings)
        made.append(mesh)
        return mesh

    yield make
    for mesh in made:
        mesh.close()
