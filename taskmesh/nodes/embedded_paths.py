# ruff: noqa: PTH100, PTH101, PTH102, PTH103, PTH111, PTH117, PTH118, PTH120
# These paths go to the guardian as strings, and are asked for at each connect.
"""Where the embedded node of this host, account and mesh stands, and that nobody else can reach it.

    <state root>/<host>/<mesh>/      mode 0700; the root is $TASKMESH_STATE_DIR, $XDG_STATE_HOME/taskmesh or
                                     ~/.local/state/taskmesh
    /tmp/taskmesh-<uid>/<hash>/      the sockets only, where the path above is too long for one

The host is part of the path because home folders travel: two machines that share one must not share a node,
whose locks and sockets mean nothing to the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
from pathlib import Path

from taskmesh.errors import ConfigError
from taskmesh.nodes.embedded_files import SOCKET_PATH_BYTES_MAX, NodePaths

STATE_DIR = "TASKMESH_STATE_DIR"

_MESH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_mesh_name(mesh: str) -> None:
    """Refuse a name that cannot be a folder and part of every key.

    Raises:
        ConfigError: It has other characters, or too many.
    """
    if _MESH_NAME.fullmatch(mesh) is None:
        raise ConfigError(
            f"{mesh!r} cannot name a mesh: use 1 to 64 of the characters A-Z a-z 0-9 _ . - "
            "and begin with a letter or a digit"
        )


def host_folder() -> str:
    """Return the folder which holds the nodes of this account on this host."""
    root = os.environ.get(STATE_DIR)
    if not root:
        base = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):  # the XDG rule: a relative path is to be ignored
            base = os.path.join(os.path.expanduser("~"), ".local", "state")
        root = os.path.join(base, "taskmesh")
    return os.path.join(os.path.abspath(root), socket.gethostname() or "localhost")


def paths_of(mesh: str) -> NodePaths:
    """Return where this mesh's shared node keeps its files; makes nothing."""
    check_mesh_name(mesh)
    return placed(os.path.join(host_folder(), mesh))


def placed(state: str) -> NodePaths:
    """Return the paths of a node in the folder `state`; its sockets stand elsewhere if need be."""
    here = NodePaths(state)
    if len(os.fsencode(here.hidden_socket)) <= SOCKET_PATH_BYTES_MAX:
        return here
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return NodePaths(state, os.path.join(f"/tmp/taskmesh-{os.getuid()}", name))  # noqa: S108 - verified to be ours


def make_folders(paths: NodePaths) -> None:
    """Make the node's folders where they are missing, and see that they are ours alone.

    Raises:
        ConfigError: A folder cannot be made, belongs to somebody else, or could be written by others.
    """
    try:
        os.makedirs(os.path.dirname(paths.state), 0o700, exist_ok=True)
        private_folder(paths.state)
        if paths.socket_folder != paths.state:
            private_folder(os.path.dirname(paths.socket_folder))
            private_folder(paths.socket_folder)
    except OSError as error:
        raise ConfigError(
            f"cannot make a folder for the embedded node, {error.filename or paths.state}: {error.strerror}; "
            f"let {STATE_DIR} name a folder that this account may write"
        ) from error


def private_folder(path: str) -> None:
    """Make a folder that only we may enter, or make sure that it is one.

    Raises:
        ConfigError: It is not ours, or others may write into it.
        OSError: It cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    problem = why_not_private(path)
    if problem == _TOO_OPEN:
        # Others could look, but change nothing: what stands in it can be trusted once it is closed.
        os.chmod(path, 0o700)
    elif problem is not None:
        raise ConfigError(f"{path} cannot hold the embedded node: {problem}; remove it, or set {STATE_DIR}")


_TOO_OPEN = "others may read it"


def why_not_private(path: str) -> str | None:
    """Return why others may be able to enter this folder or to write into it; None if they cannot."""
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode):
        return "it is not a folder"
    if facts.st_uid != os.getuid():
        return f"it belongs to user {facts.st_uid}, not to user {os.getuid()}"
    if facts.st_mode & 0o022:
        return f"others may write into it (mode {stat.S_IMODE(facts.st_mode):04o})"
    if facts.st_mode & 0o077:
        return _TOO_OPEN
    return None


def is_reachable_safely(paths: NodePaths) -> bool:
    """Say whether a server found at the public socket can only be our own account's."""
    folders = [paths.socket_folder]
    if paths.socket_folder != paths.state:
        folders.append(os.path.dirname(paths.socket_folder))
    try:
        return all(why_not_private(folder) is None for folder in folders)
    except FileNotFoundError:
        return False


def machine_memory() -> int:
    """Return how many bytes of memory this machine, or the container that we are in, has."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text(encoding="ascii").strip()
        except OSError:
            continue  # no such kind of container
        if text.isdigit():
            memory = min(memory, int(text))
    return memory
