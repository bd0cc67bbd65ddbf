"""Where the private nodes of this process are, for the processes that it starts: workers, spawned children.

They stand in a variable of the environment, `<mesh>=<socket>`, several separated by colons. A second mesh of the
same name in the same process has a node of its own all the same.
"""

from __future__ import annotations

import os

VARIABLE = "TASKMESH_PRIVATE_NODE"

_offered: set[tuple[str, str]] = set()


def _entries() -> dict[str, str]:
    pairs = (entry.partition("=")[::2] for entry in os.environ.get(VARIABLE, "").split(":"))
    return {mesh: socket for mesh, socket in pairs if mesh and socket}


def _write(entries: dict[str, str]) -> None:
    if entries:
        os.environ[VARIABLE] = ":".join(f"{mesh}={socket}" for mesh, socket in entries.items())
    else:
        os.environ.pop(VARIABLE, None)


def inherited(mesh: str) -> str:
    """Return the socket of the private node that a parent process offers for a mesh; empty if none does."""
    socket = _entries().get(mesh, "")
    return "" if (mesh, socket) in _offered else socket


def offer(mesh: str, socket: str) -> None:
    """Tell processes that this one starts from now on where its private node is."""
    _offered.add((mesh, socket))
    _write(_entries() | {mesh: socket})


def withdraw(mesh: str, socket: str) -> None:
    """Take back an `offer`: the node is closed."""
    _offered.discard((mesh, socket))
    _write({name: where for name, where in _entries().items() if (name, where) != (mesh, socket)})
