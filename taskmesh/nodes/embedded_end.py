"""Ending the shared embedded nodes of a mesh."""

from __future__ import annotations

import os
import signal
import time

from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.embedded_files import NodePaths, is_locked, read_small, start_time
from taskmesh.nodes.embedded_several import places_of

_POLL_S = 0.005


def stop(mesh: str, timeout_s: float = 30.0) -> bool:
    """Shut down the shared nodes of this mesh and wait until they are gone; their data stays.

    Returns:
        Whether there was one.

    Raises:
        NodeUnavailable: One did not end in time.
    """
    deadline_s = time.monotonic() + timeout_s
    # all are told before any is waited for
    told = [(paths, _tell(paths)) for paths in places_of(mesh)]
    ended = [_wait_for_end(mesh, paths, holder, deadline_s, timeout_s) for paths, holder in told]
    return any(ended)


def _tell(paths: NodePaths) -> str | None:
    """Tell the guardian of a node to end it; return what its lock says of it, None if there is none yet."""
    if not is_locked(paths.guardian_lock):
        return None
    holder = _holder(paths)
    pid, _, started = holder.strip().partition(" ")
    # Between taking the lock and writing its pid, a new guardian holds the file of the last one.
    if not pid or start_time(int(pid)) != started:
        return None
    os.kill(int(pid), signal.SIGTERM)
    return holder


def _wait_for_end(mesh: str, paths: NodePaths, told: str | None, deadline_s: float, timeout_s: float) -> bool:
    """Wait until a node has ended, and tell whether one ran."""
    while is_locked(paths.guardian_lock):
        holder = _holder(paths)
        if told is None:
            told = _tell(paths)
        elif holder != told:
            break  # another one was started meanwhile
        if time.monotonic() > deadline_s:
            raise NodeUnavailable(
                f"the embedded node of mesh {mesh!r} (guardian {holder.split(' ')[0]}) did not end within "
                f"{timeout_s:g} s; see {paths.guardian_log}",
                node=paths.socket,
            )
        time.sleep(_POLL_S)
    return told is not None


def _holder(paths: NodePaths) -> str:
    return (read_small(paths.guardian_lock) or b"").decode()
