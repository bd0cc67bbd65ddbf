"""Real workers, audited, on a node into which anybody may write."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from taskmesh.nodes.embedded import PrivateNode
from tests.apps import worker_trust
from tests.faults.scene import Scene
from tests.faults.stage import chaos_node, make_scene
from tests.trust.audit import Audit
from tests.trust.forging import Forger

__all__ = ["chaos_node", "make_scene"]

_numbers = count(1)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path)


@pytest.fixture
def make_forged(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode, audit: Audit
) -> Callable[..., Forger]:
    """Make a mesh with a forger who can write into its node."""

    def make(**settings: Any) -> Forger:
        scene = make_scene(f"trust{next(_numbers)}", f"unix://{chaos_node.socket_path}", **settings)
        worker_trust.register(scene.mesh)
        return Forger(scene, audit)

    return make


@pytest.fixture
def forger(make_forged: Callable[..., Forger]) -> Forger:
    return make_forged()
