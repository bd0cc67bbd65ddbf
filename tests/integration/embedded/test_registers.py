"""The embedded node is an acceptor that needs nobody's attention."""

from __future__ import annotations

import os
import signal

from taskmesh import TaskMesh
from taskmesh.consensus.registers import Write
from taskmesh.nodes import embedded
from tests.support import wait_until


def write(mesh: TaskMesh, content: bytes) -> int:
    agreement = mesh.agreement
    steps = agreement.registers.change("file/a", lambda _: Write(content), agreement.operation())
    return agreement.run(steps).version


def killed_and_started_again(mesh: TaskMesh) -> None:
    """Kill the server, and wait until its guardian has started another."""
    before = embedded.ensure_running(mesh.name)
    os.kill(before.server_pid, signal.SIGKILL)
    wait_until(
        lambda: embedded.ensure_running(mesh.name).generation > before.generation, what="another generation"
    )


def test_registers_are_there_after_a_kill_and_can_be_changed(state_root):
    with TaskMesh("kept") as mesh, TaskMesh("kept") as other:
        for version in range(1, 4):
            assert write(mesh, b"%d" % version) == version
            killed_and_started_again(mesh)
            # one that was connected, one that begins, and both can change
            found = other.agreement.run(other.agreement.registers.read("file/a"))
            assert (found.version, found.content) == (version, b"%d" % version)


def test_after_a_restart_of_the_machine_it_admits_itself(state_root, monkeypatch):
    """Another boot id counts for acceptors which could be replaced; the embedded node is the only one there is."""
    with TaskMesh("kept") as mesh:
        assert write(mesh, b"1") == 1
    embedded.stop("kept")
    monkeypatch.setattr("taskmesh.nodes.agreement.boot_id", lambda: "another")
    with TaskMesh("kept") as mesh:
        assert write(mesh, b"2") == 2
