"""One test per pain that users of other queues complain of: small in CI, at full scale by `make pains`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.faults.scene import Worker
from tests.faults.stage import calm, chaos_node, make_scene, scene

__all__ = ["calm", "chaos_node", "children_of", "make_scene", "scene"]

T = TypeVar("T")


def children_of(worker: Worker) -> list[psutil.Process]:
    """Return the children that live now; some may be dying."""
    found = []
    for process in worker.family():
        try:
            # its own child is the template, and the template's are those that run tasks
            if process.ppid() not in (worker.pid, os.getpid()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


#: Set by `make pains`.
VARIABLE = "TASKMESH_TEST_PAINS"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture
def at_scale():
    """Return the first of two values in CI, and the second by `make pains`."""

    def choose(in_ci: T, in_full: T) -> T:
        return in_full if os.environ.get(VARIABLE) else in_ci

    return choose
