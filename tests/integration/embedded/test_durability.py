"""What `durability` says is what the embedded node does."""

from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ConfigError
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded_paths import paths_of
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


def test_who_does_not_ask_starts_it_as_safe_as_it_was(state_root):
    TaskMesh("kept", durability="disk").link.open().close()
    assert embedded.stop("kept")
    assert embedded.ensure_running("kept").durability == "disk"
    assert embedded.stop("kept")
    assert embedded.ensure_running("kept", durability="process").durability == "process"
    assert embedded.stop("kept")
    assert embedded.ensure_running("kept").durability == "process"


def test_who_does_not_ask_never_starts_it_without_a_disk(state_root):
    """Whoever says nothing relies on the default, which outlives the server."""
    TaskMesh("kept", durability="memory").link.open().close()
    assert embedded.stop("kept")
    assert embedded.last_durability("kept") == "memory"
    assert embedded.ensure_running("kept").durability == "process"


def test_a_note_that_cannot_be_read_is_told(state_root):
    embedded.ensure_running("kept")
    embedded.stop("kept")
    assert embedded.last_durability("never") is None
    Path(paths_of("kept").durability).write_text("dusk\n")
    with pytest.raises(ConfigError, match=r"durability should hold one of process, disk, memory.*'dusk'"):
        embedded.ensure_running("kept")
    assert embedded.ensure_running("kept", durability="disk").durability == "disk"
    assert embedded.last_durability("kept") == "disk"
