"""A shell per test, or one for all tests of a module; whatever runs at its end is stopped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server
from tests.e2e.cli.shell import Shell


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture(scope="session")
def server_binary() -> Path:
    try:
        return find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))


@contextmanager
def opened() -> Iterator[Shell]:
    # a short path: sockets have at most 107 characters
    root = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    shell = Shell(root)
    try:
        yield shell
    finally:
        shell.close()
        shutil.rmtree(root)


@pytest.fixture
def shell(server_binary) -> Iterator[Shell]:
    with opened() as made:
        yield made


@pytest.fixture(scope="module")
def served(server_binary) -> Iterator[Shell]:
    """Return a shell whose app is served by one worker."""
    with opened() as made:
        made.write("app.py")
        made.environ["TASKMESH_APP"] = "app.py"
        made.worker("-c", "1", "-n", "one")
        yield made
