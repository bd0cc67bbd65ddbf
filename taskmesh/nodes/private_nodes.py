"""Where the private nodes of this process are, for the processes that it starts: workers, spawned children.

They stand in a variable of the environment, `<mesh>=<socket>`, several meshes separated by colons, several nodes of one
by commas. A second mesh of the same name in the same process has a node of its own all the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

VARIABLE = "TASKMESH_PRIVATE_NODE"

_offered: set[tuple[str, str]] = set()


def listed(sockets: Sequence[str]) -> str:
    """Return the sockets of the nodes of one mesh as one text."""
    return ",".join(sockets)


def _entries() -> dict[str, str]:
    pairs = (entry.partition("=")[::2] for entry in os.environ.get(VARIABLE, "").split(":"))
    return {mesh: sockets for mesh, sockets in pairs if mesh and sockets}


def _write(entries: dict[str, str]) -> None:
    if entries:
        os.environ[VARIABLE] = ":".join(f"{mesh}={sockets}" for mesh, sockets in entries.items())
    else:
        os.environ.pop(VARIABLE, None)


def inherited(mesh: str) -> tuple[str, ...]:
    """Return the sockets of the private nodes that a parent process offers for a mesh; none if none does."""
    sockets = _entries().get(mesh, "")
    return tuple(sockets.split(",")) if sockets and (mesh, sockets) not in _offered else ()


def offer(mesh: str, sockets: Sequence[str]) -> None:
    """Tell processes that this one starts from now on where its private nodes are."""
    _offered.add((mesh, listed(sockets)))
    _write(_entries() | {mesh: listed(sockets)})


def withdraw(mesh: str, sockets: Sequence[str]) -> None:
    """Take back an `offer`: the nodes are closed."""
    _offered.discard((mesh, listed(sockets)))
    _write({name: where for name, where in _entries().items() if (name, where) != (mesh, listed(sockets))})
