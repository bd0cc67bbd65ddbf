"""What to do about a node that does not answer."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from urllib.parse import urlsplit

from taskmesh.app import TaskMesh
from taskmesh.nodes.embedded_paths import paths_of
from taskmesh.nodes.room import ROOM_OCTETS_MIN, existing


def remedy(mesh: TaskMesh) -> str:
    """Return what to do when the node of a mesh cannot be reached."""
    if not mesh.settings.nodes:
        folder = existing(Path(paths_of(mesh.name).state))
        return remedy_of_embedded(mesh.name, folder, disk_usage(folder).free)
    parts = urlsplit(mesh.settings.nodes[0])
    if parts.scheme != "unix":
        return "start the server there, or correct nodes=; look at firewall and password"
    if Path(parts.path).exists():
        return f"{parts.path} is stale, no server listens on it: start the server, or correct nodes="
    return f"there is no socket {parts.path}: start the server, or correct nodes="


def remedy_of_embedded(name: str, folder: Path, free_octets: int) -> str:
    """Return what to do about an embedded node that does not answer.

    Args:
        name: Of its mesh.
        folder: Where its data is.
        free_octets: The room that is left there.
    """
    if free_octets < ROOM_OCTETS_MIN:
        return f"make room on the disk that holds {folder}, it is full; the node then goes on by itself"
    return f"`taskmesh down --mesh {name}` ends what is left of the embedded node; then try again"
