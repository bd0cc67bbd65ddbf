"""Who waits for a result while all servers are started anew gets it as soon as a view admits them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import TaskRevoked
from tests.integration.several.conftest import KEY, MESH, activate, view_of
from tests.support import wait_until

pytestmark = pytest.mark.needs_server


@pytest.fixture
def make_mesh(three_nodes) -> Iterator[Callable[[], TaskMesh]]:
    made: list[TaskMesh] = []

    def make() -> TaskMesh:
        made.append(TaskMesh(MESH, nodes=three_nodes.urls, key=KEY))
        return made[-1]

    yield make
    for mesh in made:
        mesh.close()


@pytest.fixture
def ended(three_nodes, make_mesh) -> str:
    """The id of a message that has ended, on servers that were started anew since and wait to be admitted."""
    activate(three_nodes, view_of(three_nodes))
    handle = make_mesh().submit(print)
    assert handle.revoke()
    for at in range(3):
        three_nodes.kill(at)
        three_nodes.start(at)
    return handle.id


@pytest.fixture
def refused(monkeypatch) -> threading.Event:
    """Set when somebody was told that he cannot listen."""
    told = threading.Event()

    def debug(text: str, *_args: object) -> None:
        if text.startswith("cannot listen"):
            told.set()

    monkeypatch.setattr("taskmesh.client.waiter.log.debug", debug)
    return told


def test_a_thread(three_nodes, make_mesh, ended, refused):
    waited = make_mesh().result(ended)
    with ThreadPoolExecutor(1) as threads:
        getting = threads.submit(waited.get, timeout=240)
        wait_until(refused.is_set)
        activate(three_nodes, view_of(three_nodes, 2))
        with pytest.raises(TaskRevoked):
            getting.result(90)


def test_a_coroutine(three_nodes, make_mesh, ended, refused):
    waited = make_mesh().result(ended)

    async def main() -> None:
        getting = asyncio.ensure_future(waited)
        await asyncio.to_thread(wait_until, refused.is_set)
        activate(three_nodes, view_of(three_nodes, 2))
        with pytest.raises(TaskRevoked):
            await asyncio.wait_for(getting, 90)

    asyncio.run(main())
