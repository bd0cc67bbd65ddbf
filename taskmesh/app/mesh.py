"""TaskMesh: the app object, put together from groups of methods. It decides nothing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self, Unpack

from taskmesh.app.by_name import ByName
from taskmesh.app.coordinating import Coordinating
from taskmesh.app.hook_points import HookPoints
from taskmesh.app.operating import Operating
from taskmesh.app.scheduling import Scheduling
from taskmesh.app.sending import Sending
from taskmesh.app.workers import OwnWorkers
from taskmesh.client.hints import HintingMesh
from taskmesh.client.meshes import mesh_named, note_mesh
from taskmesh.config import load_settings

if TYPE_CHECKING:
    from taskmesh.config.arguments import SettingArguments


class TaskMesh(Scheduling, Sending, ByName, OwnWorkers, Operating, Coordinating, HookPoints, HintingMesh):
    """A mesh: its name, its settings, its tasks, and the way to its nodes.

    With no settings it uses the embedded node of this account, started when first needed.

    Attributes:
        name: Name of the mesh.
        made_in: Name of the module that made it.
        settings: Every setting, with its source.
        hooks: What is called when workers and tasks begin and end.
        tasks: The tasks of this process by name.
    """

    def __init__(self, name: str, **settings: Unpack[SettingArguments]) -> None:
        """Make a mesh. Nothing is started or connected until it is used.

        Args:
            name: 1 to 64 of `A-Z a-z 0-9 _ . -`. Processes with the same name and nodes are one mesh.
            settings: See `taskmesh.config.Settings`. What is not given comes from `TASKMESH_*` variables,
                then from `taskmesh.toml` or `[tool.taskmesh]` in the nearest `pyproject.toml`.

        Raises:
            ConfigError: A setting is unknown or impossible; the message names the nearest valid one.
        """
        super().__init__(name, load_settings(name, settings, environ=os.environ, cwd="."))
        self.made_in = _maker(self)
        note_mesh(self)

    def __reduce__(self) -> Any:
        """Pickle by name: the other process uses its own mesh of that name."""
        return mesh_named, (self.name,)

    def __repr__(self) -> str:
        """Show name and node."""
        from taskmesh.nodes.address import NodeAddress

        where = (
            ", ".join(str(NodeAddress(url)) for url in self.settings.nodes)
            or f"{self.settings.embedded} node"
        )
        return f"<TaskMesh {self.name!r} on {where}>"

    def __enter__(self) -> Self:
        """Use the mesh in a `with` block; it is closed at the end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _maker(mesh: TaskMesh) -> str:
    """Return the name of the module that is making a mesh, be it of a class that is derived from `TaskMesh`."""
    frame = sys._getframe(2)  # noqa: SLF001 - two up; inspect is slow
    while frame.f_back is not None and frame.f_locals.get("self") is mesh:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
