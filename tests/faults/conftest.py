"""Tests with faults take their time, and leave nothing behind: no process, no socket, no mount."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taskmesh.nodes.embedded import PrivateNode
from tests.faults.stage import (
    calm,
    chaos_node,
    clock,
    make_mesh_scene,
    make_scene,
    make_server,
    proxy,
    scene,
    server,
    small_disk,
)
from tests.support import wait_until

__all__ = [
    "calm",
    "chaos_node",
    "clock",
    "make_mesh_scene",
    "make_scene",
    "make_server",
    "proxy",
    "scene",
    "server",
    "small_disk",
]

#: In the environment of every process that a test starts, however far down.
MARK = "FAULTS_TEST"
#: Tests of the tests: they need no node.
PURE = ("test_ledger.py", "test_proxy.py")


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.name not in PURE:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture
def seed() -> int:
    """Return what chance is drawn from; pytest shows it when the test fails."""
    chosen = int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 32))
    print(f"to repeat it: FAULTS_SEED={chosen}")
    return chosen


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    chaos_node: PrivateNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Fail the test that leaves a process, a listening socket or a mount."""
    mark = f"{os.getpid()}-{os.urandom(6).hex()}"
    monkeypatch.setenv(MARK, mark)
    listening = _listening()
    yield
    wait_until(lambda: not _marked(mark), what=f"no process is left: {_marked(mark)}")
    assert _listening() <= listening, "a socket still listens"
    # elsewhere others may mount what they like meanwhile
    mounts = Path("/proc/self/mounts")
    assert not mounts.exists() or str(tmp_path) not in mounts.read_text(), "something is still mounted"


def _marked(mark: str) -> list[str]:
    """Return the processes that a test has started and that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue  # it has just ended, or is not ours to look into
    return found


def _listening() -> set[str]:
    """Return on what this process listens."""
    return {
        str(one.laddr) for one in psutil.Process().net_connections("all") if one.status == psutil.CONN_LISTEN
    }
