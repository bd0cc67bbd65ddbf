"""Real nodes, real workers and real event loops; any warning, also one from a finalizer, fails the test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.embedded import PrivateNode, start_private
from taskmesh.nodes.server_binary import find_server


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
    """Collect what a test dropped while that test can still be blamed for it."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def node() -> Iterator[PrivateNode]:
    """A node for tests which do not harm it."""
    with start_private("async-tests") as node:
        yield node
