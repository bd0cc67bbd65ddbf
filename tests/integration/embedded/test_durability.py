"""What `durability` says is what the embedded node does."""

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ConfigError
from taskmesh.nodes import embedded
from taskmesh.replication.ask import plain

EXPECTED = {"process": (b"yes", b"no"), "disk": (b"yes", b"always"), "memory": (b"no", b"no")}


@pytest.fixture
def state_root(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(tmp_path))
    yield tmp_path
    for node in embedded.running():
        embedded.stop(node.mesh)


@pytest.mark.parametrize("durability", ["process", "disk", "memory"])
def test_the_embedded_node_keeps_what_it_is_told_to(state_root, durability):
    mesh = TaskMesh("kept", durability=durability)
    link = mesh.link.open()
    for name, value in zip((b"appendonly", b"appendfsync"), EXPECTED[durability], strict=True):
        assert link.run(plain(link.session, b"CONFIG", b"GET", name)) == [name, value]
    mesh.close()


def test_two_processes_must_ask_for_the_same(state_root):
    TaskMesh("kept", durability="disk").link.open().close()
    with pytest.raises(ConfigError, match=r"durability='disk'.*'memory'.*taskmesh down"):
        TaskMesh("kept", durability="memory").link.open()
    # who does not ask takes what there is
    TaskMesh("kept").link.open().close()
