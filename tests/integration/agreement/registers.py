"""Reading and writing a register of a mesh in one line each."""

from __future__ import annotations

from taskmesh import TaskMesh
from taskmesh.consensus.registers import Write
from tests.faults.server import Server
from tests.support import wait_until


def write(mesh: TaskMesh, name: str, content: bytes) -> int:
    """Write a register and return its version."""
    agreement = mesh.agreement
    steps = agreement.registers.change(name, lambda _: Write(content), agreement.operation())
    return agreement.run(steps).version


def write_at(mesh: TaskMesh, server: Server, name: str, content: bytes, configuration: int = 1) -> None:
    """Write a register so that one acceptor has accepted it too; a majority would do without."""

    def has_it() -> bool:
        write(mesh, name, content)
        with server.client() as client:
            return bool(client.hexists(f"tm:agreed:ac:{configuration}:r:{name}", "value"))

    wait_until(has_it, what="that acceptor accepts it")


def read(mesh: TaskMesh, name: str) -> bytes | None:
    """Return what a register holds."""
    return mesh.agreement.run(mesh.agreement.registers.read(name)).content
