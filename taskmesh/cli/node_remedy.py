"""What to do about a node that does not answer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from taskmesh.app import TaskMesh


def remedy(mesh: TaskMesh) -> str:
    """Return what to do when the node of a mesh cannot be reached."""
    if not mesh.settings.nodes:
        return f"`taskmesh down --mesh {mesh.name}` ends what is left of the embedded node; then try again"
    parts = urlsplit(mesh.settings.nodes[0])
    if parts.scheme != "unix":
        return "start the server there, or correct nodes=; look at firewall and password"
    if Path(parts.path).exists():
        return f"{parts.path} is stale, no server listens on it: start the server, or correct nodes="
    return f"there is no socket {parts.path}: start the server, or correct nodes="
