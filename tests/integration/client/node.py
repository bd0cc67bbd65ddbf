"""What is done to the node in these tests."""

from __future__ import annotations

from typing import Any

from taskmesh import TaskMesh
from taskmesh.replication.ask import plain


def command(mesh: TaskMesh, *words: bytes) -> Any:
    """Run one command."""
    return mesh.link.run(plain(mesh.link.session, *words))


def kill_connections(mesh: TaskMesh, kind: bytes) -> None:
    """Have the node close all connections of a kind: `pubsub` listens, `normal` does everything else."""
    command(mesh, b"CLIENT", b"KILL", b"TYPE", kind, b"SKIPME", b"yes")


def publish(mesh: TaskMesh, payload: bytes) -> int:
    """Publish on the channel of a mesh object, and return how many heard it."""
    heard: int = command(mesh, b"PUBLISH", mesh.link.prefix + b"n:" + mesh.link.channel, payload)
    return heard


class Counted:
    """Counts the protocols that a mesh object runs, by name."""

    def __init__(self, mesh: TaskMesh, monkeypatch: Any) -> None:
        self.names: list[str] = []
        driver = mesh.link.open().driver
        run = driver.run

        def counted(steps: Any, **limit: Any) -> Any:
            self.names.append(steps.__name__)
            return run(steps, **limit)

        monkeypatch.setattr(driver, "run", counted)

    def __call__(self, name: str) -> int:
        return self.names.count(name)
