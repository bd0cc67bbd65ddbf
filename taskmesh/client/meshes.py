"""The meshes of this process by name: where a task that travels as an argument finds itself again."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskmesh.errors import UnknownTask, UsageError

if TYPE_CHECKING:
    from taskmesh.client.host import Host

_meshes: list[weakref.ref[Host]] = []
_watchers: list[Callable[[Host], None]] = []


def note_mesh(mesh: Host) -> None:
    """Note a new mesh."""
    _meshes[:] = [ref for ref in _meshes if ref() is not None] + [weakref.ref(mesh)]
    for watcher in tuple(_watchers):
        watcher(mesh)


def watch_meshes(watcher: Callable[[Host], None]) -> None:
    """Have a function called with each mesh of this process: those that there are, and each that is made later."""
    _watchers.append(watcher)
    for mesh in [ref() for ref in _meshes]:
        if mesh is not None:
            watcher(mesh)


def watch_no_more(watcher: Callable[[Host], None]) -> None:
    """Have a function that `watch_meshes` was given called no more."""
    _watchers.remove(watcher)


def _named(name: str) -> list[Host]:
    """Return the meshes that have a name, the latest first."""
    alive = (ref() for ref in reversed(_meshes))
    return [mesh for mesh in alive if mesh is not None and mesh.name == name]


def mesh_named(name: str) -> Host:
    """Return the mesh of this process that has a name; of several, the latest.

    Raises:
        UsageError: There is none.
    """
    for mesh in _named(name):
        return mesh
    raise UsageError(f"this process has no TaskMesh named {name!r}; import the module that makes it first")


def task_named(mesh: str, name: str, module: str) -> Any:
    """Return a task by its name.

    Args:
        mesh: Name of its mesh.
        name: Name of the task.
        module: Where it is made.

    Raises:
        UnknownTask: The module makes no such task here.
    """
    importlib.import_module(module)
    for found in _named(mesh):
        if name in found.tasks:
            return found.tasks[name]
    raise UnknownTask(f"module {module} makes no task {name!r} of mesh {mesh!r} in this process")
