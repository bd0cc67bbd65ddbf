"""Real embedded nodes in a state folder of the test's own; whatever a test leaves running fails it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes import embedded
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


@pytest.fixture
def state_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty state folder with a short path; at the end its nodes are stopped and it is removed."""
    root = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(root))
    monkeypatch.delenv("TASKMESH_SERVER_BINARY", raising=False)
    monkeypatch.delenv("TASKMESH_EMBEDDED_IDLE_S", raising=False)
    try:
        yield root
        monkeypatch.setenv("TASKMESH_STATE_DIR", str(root))
        for folder in root.glob("*/*"):
            embedded.stop(folder.name)
    finally:
        shutil.rmtree(root, ignore_errors=True)
