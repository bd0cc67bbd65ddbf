"""The meshes of this process by name: where a task that travels as an argument finds itself again."""

from __future__ import annotations

import importlib
import weakref
from typing import TYPE_CHECKING, Any

from taskmesh.errors import UnknownTask, UsageError

if TYPE_CHECKING:
    from taskmesh.client.host import Host

_meshes: weakref.WeakValueDictionary[str, Host] = weakref.WeakValueDictionary()


def note_mesh(mesh: Host) -> None:
    """Note a new mesh; of two with one name, the later counts."""
    _meshes[mesh.name] = mesh


def mesh_named(name: str) -> Host:
    """Return the mesh of this process that has a name.

    Raises:
        UsageError: There is none.
    """
    mesh = _meshes.get(name)
    if mesh is None:
        raise UsageError(
            f"this process has no TaskMesh named {name!r}; import the module that makes it first"
        )
    return mesh


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
    task = mesh_named(mesh).tasks.get(name)
    if task is None:
        raise UnknownTask(f"module {module} makes no task {name!r} of mesh {mesh!r} in this process")
    return task
