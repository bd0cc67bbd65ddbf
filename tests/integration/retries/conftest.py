"""Two children of a real worker on a private node, for all tests of retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server
from tests.apps import retry_tasks


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture(scope="session")
def app() -> Iterator[ModuleType]:
    """The app, served by two children."""
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    with retry_tasks.mesh.workers(2):
        yield retry_tasks
    retry_tasks.mesh.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where tasks note what they do."""
    return str(tmp_path / "notes")


@pytest.fixture
def notes(path: str) -> Callable[[], list[str]]:
    """Return what tasks have noted."""

    def read() -> list[str]:
        file = Path(path)
        return file.read_text().splitlines() if file.exists() else []

    return read
