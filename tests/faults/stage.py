"""The fixtures of tests with real nodes and real workers; whatever a test leaves running is killed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.embedded import PrivateNode, start_private
from taskmesh.nodes.server_binary import find_server
from tests.faults.clock import Clock
from tests.faults.mesh_scene import MeshScene
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.faults.server import Server
from tests.faults.small_disk import SmallDisk
from tests.nodes import Nodes

#: A lease that is over only where a worker has stopped for good, or is stopped by the test.
CALM_S = 5.0
_numbers = count(1)


@pytest.fixture(scope="session")
def chaos_node() -> Iterator[PrivateNode]:
    """One node for all tests which do not harm the node itself; each has a mesh of its own on it."""
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    with start_private("chaos", durability="process") as node:
        yield node


@pytest.fixture
def make_scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Make scenes with a node of their own, or with settings of their own."""
    scenes: list[Scene] = []

    def make(mesh: str, url: str, **settings: Any) -> Scene:
        folder = tmp_path / f"scene{len(scenes)}"
        folder.mkdir()
        scenes.append(Scene(mesh, url, folder, **settings))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.fixture
def scene(make_scene: Callable[..., Scene], chaos_node: PrivateNode) -> Scene:
    """A mesh of the test's own on the common node."""
    return make_scene(f"scene{next(_numbers)}", f"unix://{chaos_node.socket_path}")


@pytest.fixture
def calm(make_scene: Callable[..., Scene], chaos_node: PrivateNode) -> Scene:
    """As `scene`, with a lease longer than a busy machine stands still: of several workers none is declared dead."""
    return make_scene(f"calm{next(_numbers)}", f"unix://{chaos_node.socket_path}", lease_ttl=CALM_S)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Make nodes on loopback, that belong to the test alone."""
    servers: list[Server] = []

    def make(**options: Any) -> Server:
        folder = options.pop("folder", None) or tmp_path / f"server{len(servers)}"
        servers.append(Server(folder, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A node on loopback, that belongs to the test alone."""
    return make_server()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A network in front of that node."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def make_mesh_scene(tmp_path: Path) -> Iterator[Callable[..., MeshScene]]:
    """Make a mesh of a test's own on servers of its own; no message is given up, however often a run is harmed."""
    scenes: list[MeshScene] = []

    def make(nodes: Nodes, **more: object) -> MeshScene:
        folder = tmp_path / f"scene{len(scenes)}"
        folder.mkdir()
        scenes.append(MeshScene("meshed", nodes, folder, max_crashes=99, lease_ttl=3.0, **more))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A wall clock for those processes that are started with it."""
    return Clock(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of a few megabytes, that is gone with the test."""
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.close()
