"""Removing what the embedded node of a mesh keeps, once nobody needs it any more."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_end import stop
from taskmesh.nodes.embedded_files import NodePaths, is_locked, open_lock, remove_tree, try_lock, unlock
from taskmesh.nodes.embedded_paths import host_folder, paths_of, why_not_private
from taskmesh.nodes.embedded_several import places_of

_POLL_S = 0.02


def kept() -> list[str]:
    """Return the meshes whose embedded node has kept something on this host."""
    folder = Path(host_folder())
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / "generation").is_file())


def delete(mesh: str, timeout_s: float = 30.0) -> bool:
    """Stop the shared nodes of this mesh and remove its folder: messages, results, everything.

    Processes that use the mesh must have ended: they would start a new node and take it for the one they knew.

    Returns:
        Whether there was anything.

    Raises:
        ConfigError: The folder is not ours alone, or cannot be removed.
        NodeUnavailable: The node did not end in time.
    """
    paths = paths_of(mesh)
    if not Path(paths.state).is_dir():
        return False
    problem = why_not_private(paths.state)
    if problem is not None:
        raise ConfigError(f"{paths.state} is left alone: {problem}")
    deadline_s = time.monotonic() + timeout_s
    lock = open_lock(paths.start_lock)  # so that nobody starts the node again meanwhile
    try:
        _until(lambda: try_lock(lock), mesh, paths, deadline_s)
        stop(mesh, timeout_s)
        places = places_of(mesh)
        _until(lambda: not any(is_locked(each.data_lock) for each in places), mesh, paths, deadline_s)
        try:
            remove_tree(paths.state)
            for each in places:
                if each.socket_folder != each.state:
                    with contextlib.suppress(FileNotFoundError):
                        remove_tree(each.socket_folder)
        except OSError as error:
            raise ConfigError(f"cannot remove {error.filename or paths.state}: {error.strerror}") from error
    finally:
        unlock(lock)
    return True


def _until(is_so: Callable[[], bool], mesh: str, paths: NodePaths, deadline_s: float) -> None:
    while not is_so():
        if time.monotonic() > deadline_s:
            raise NodeUnavailable(
                f"the embedded node of mesh {mesh!r} is still being started or used, in {paths.state}; nothing was "
                "removed, try again",
                node=paths.socket,
            )
        time.sleep(_POLL_S)
