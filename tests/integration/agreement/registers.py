"""Reading and writing a register of a mesh in one line each."""

from __future__ import annotations

from taskmesh import TaskMesh
from taskmesh.consensus.registers import Write


def write(mesh: TaskMesh, name: str, content: bytes) -> int:
    """Write a register and return its version."""
    agreement = mesh.agreement
    steps = agreement.registers.change(name, lambda _: Write(content), agreement.operation())
    return agreement.run(steps).version


def read(mesh: TaskMesh, name: str) -> bytes | None:
    """Return what a register holds."""
    return mesh.agreement.run(mesh.agreement.registers.read(name)).content
