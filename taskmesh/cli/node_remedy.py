"""What to do about a node that does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from urllib.parse import urlsplit

from taskmesh.app import TaskMesh
from taskmesh.cli.failure import Failure
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.embedded_several import places_of
from taskmesh.nodes.room import ROOM_OCTETS_MIN, existing

#: How long a server may take to accept a connection.
LISTENS_S = 0.5


def remedy(mesh: TaskMesh, address: str = "") -> str:
    """Return what to do when a node of a mesh cannot be reached.

    Args:
        mesh: Which.
        address: Of the node; empty where the mesh has one only, or where none answers.
    """
    if not mesh.settings.nodes:
        places = places_of(mesh.name)
        paths = next((paths for paths in places if address == f"unix://{paths.socket}"), places[0])
        folder = existing(Path(paths.state))
        log = paths.server_log if len(places) > 1 else ""
        return remedy_of_embedded(mesh.name, folder, disk_usage(folder).free, log)
    parts = urlsplit(address or mesh.settings.nodes[0])
    if parts.scheme != "unix":
        return "start the server there, or correct nodes=; look at firewall and password"
    if not Path(parts.path).exists():
        return f"there is no socket {parts.path}: start the server, or correct nodes="
    if _is_listened_on(parts.path):
        return f"a server listens on {parts.path}: look at its log"
    return f"{parts.path} is stale, no server listens on it: start the server, or correct nodes="


@contextmanager
def pointing(mesh: TaskMesh) -> Iterator[None]:
    """Have the failure of a command that asks all of several nodes say where to see which of them are away.

    Raises:
        Failure: One of several did not answer.
    """
    try:
        yield
    except NodeUnavailable as error:
        if mesh.link.view is None:
            raise
        raise Failure(
            f"{str(error).rstrip('.')}; `taskmesh nodes` shows which nodes answer, `taskmesh doctor` says what to do"
        ) from error


def _is_listened_on(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LISTENS_S)
        try:
            connection.connect(path)
        except TimeoutError:
            return True  # its queue is full: it stands still
        except OSError:
            return False
    return True


def remedy_of_embedded(name: str, folder: Path, free_octets: int, log: str = "") -> str:
    """Return what to do about an embedded node that does not answer.

    Args:
        name: Of its mesh.
        folder: Where its data is.
        free_octets: The room that is left there.
        log: Of its server, where it is one of several: the others go on.
    """
    if free_octets < ROOM_OCTETS_MIN:
        return f"make room on the disk that holds {folder}, it is full; the node then goes on by itself"
    if log:
        return f"nothing, if it comes back within some seconds: it is started again by itself; else see {log}"
    return f"`taskmesh down --mesh {name}` ends what is left of the embedded node; then try again"
