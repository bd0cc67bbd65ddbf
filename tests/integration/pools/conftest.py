"""Pools are tried with real workers on a real node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.stage import calm, chaos_node, make_scene

__all__ = ["calm", "chaos_node", "make_scene"]


@pytest.fixture
def scene(calm):
    """Return a scene in which no worker takes another for dead, for that is not what is tried here."""
    return calm


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.needs_server)
