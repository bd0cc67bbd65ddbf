"""Real workers that hear of work by tickets, of a broker in files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from taskmesh.nodes.embedded import PrivateNode
from tests.faults.scene import Scene
from tests.faults.stage import chaos_node, make_scene
from tests.ticket_broker import FileBroker

__all__ = ["chaos_node", "make_scene"]
_numbers = count(1)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.needs_server)


@pytest.fixture
def address(tmp_path: Path) -> str:
    """The setting `broker` of the test's mesh."""
    return f"tests.ticket_broker:FileBroker?{tmp_path}/broker"


@pytest.fixture
def broker(address: str) -> FileBroker:
    """The broker itself, to be looked into and put into trouble."""
    return FileBroker(address, "test")


@pytest.fixture
def scene(make_scene: Callable[..., Any], chaos_node: PrivateNode, broker: FileBroker, address: str) -> Scene:
    """A mesh of the test's own, with that broker, on the common node; nobody is declared dead for being slow."""
    return make_scene(
        f"tickets{next(_numbers)}", f"unix://{chaos_node.socket_path}", broker=address, lease_ttl=30.0
    )
