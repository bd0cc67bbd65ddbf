"""Real nodes, real workers and real event loops; any warning, also one from a finalizer, fails the test."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from taskmesh import TaskMesh
from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.embedded import PrivateNode, start_private
from taskmesh.nodes.server_binary import find_server
from tests.apps.async_tasks import mesh
from tests.support import wait_until


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture(scope="session", autouse=True)
def server_binary() -> Path:
    try:
        return find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Collect what a test dropped while that test can still be blamed for it; its loops must be among that."""
    # what a test that failed holds on to must not fail those after it
    before = weakref.WeakSet(loops())
    yield

    def no_loop_is_left() -> bool:
        gc.collect()
        return not loops() - set(before)

    # a thread that opened something may be on its way out still
    wait_until(no_loop_is_left, what="the test's loops are gone")


def loops() -> set[asyncio.AbstractEventLoop]:
    """Return the event loops that the app's mesh knows."""
    portal = mesh._portal
    return set() if portal is None else {*portal.ears, *portal.outboxes}


@pytest.fixture(autouse=True)
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody be rescued by the look that is taken now and then: what is told must arrive."""
    monkeypatch.setattr("taskmesh.client.ear.TICK_S", 3600.0)


@pytest.fixture(scope="session")
def node() -> Iterator[PrivateNode]:
    """A node for tests which do not harm it."""
    with start_private("async-tests") as node:
        yield node


@pytest.fixture(scope="session")
def served() -> Iterator[TaskMesh]:
    """The app's mesh, with one worker for all tests."""
    with mesh, mesh.workers(1):
        yield mesh


@pytest.fixture
def looker(served: TaskMesh) -> Iterator[Redis]:
    """Return a connection to the mesh's node, for looking and for doing harm."""
    with Redis(unix_socket_path=served.address().url.removeprefix("unix://"), protocol=2) as looker:
        yield looker
