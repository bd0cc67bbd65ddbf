# ruff: noqa: PTH106, PTH112
# The guardian's modules speak of paths as strings.
"""A node which belongs to one process, and is gone with it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Literal, Self

from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_files import NodePaths, is_locked, read_card, start_time
from taskmesh.nodes.embedded_order import Order
from taskmesh.nodes.embedded_paths import check_mesh_name, placed, private_folder
from taskmesh.nodes.embedded_start import enough_files, failure, order_for, start_guardian

Durability = Literal["memory", "process", "disk"]

_START_S = 10.0
_CLOSE_S = 30.0
_LEFTOVER_S = 60.0

_owned: set[PrivateNode] = set()
_forking = threading.RLock()  # between making a pipe and noting that it must not survive a fork


class PrivateNode:
    """A private node; also a context manager which closes it.

    It lasts until `close`, or until the process which started it ends, in whatever way. A forked child does
    not own it: the node neither waits for the child nor ends by its `close`.

    Attributes:
        mesh: The mesh that it serves.
        socket_path: The Unix socket on which it listens.
        data_dir: Where it keeps its data.
    """

    def __init__(self, mesh: str, paths: NodePaths, owner_fd: int) -> None:
        """Take over the writing end of the owner's pipe; `start_private` is how to get one."""
        self.mesh = mesh
        self.socket_path = paths.socket
        self.data_dir = Path(paths.data)
        self._paths = paths
        self._owner_fd = owner_fd
        self._report_fd = -1
        self._guardian_pid = 0

    @property
    def server_pid(self) -> int:
        """The server that serves now; a restart changes it."""
        return int(self._card()["server_pid"])

    @property
    def guardian_pid(self) -> int:
        """Its parent."""
        return self._guardian_pid

    @property
    def generation(self) -> int:
        """How often the server has been started."""
        return int(self._card()["generation"])

    def close(self) -> None:
        """End the node and wait until its processes and files are gone; harmless when repeated.

        Raises:
            NodeUnavailable: It did not end in time.
        """
        owner_fd, self._owner_fd = self._owner_fd, -1
        if owner_fd < 0:
            return
        _owned.discard(self)
        os.close(owner_fd)
        report_fd, self._report_fd = self._report_fd, -1
        try:
            if report_fd >= 0 and not _reads_as_ended(report_fd, _CLOSE_S):
                raise NodeUnavailable(
                    f"the private node of mesh {self.mesh!r} (guardian {self._guardian_pid}) did not end "
                    f"within {_CLOSE_S:g} s; see {self._paths.guardian_log}",
                    node=self.socket_path,
                )
        finally:
            if report_fd >= 0:
                os.close(report_fd)
        self._remove_what_the_guardian_left()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _start(self, order: Order) -> None:
        report, self._report_fd = start_guardian(order, time.monotonic() + _START_S)
        if report.kind != "ready":
            raise failure(self.mesh, self._paths, report, _START_S)
        self._guardian_pid = int(self._card()["guardian_pid"])

    def _card(self) -> dict[str, str]:
        card = read_card(self._paths.card)
        if card is None:
            raise NodeUnavailable(f"the private node of mesh {self.mesh!r} has ended", node=self.socket_path)
        return card

    def _remove_what_the_guardian_left(self) -> None:
        """Remove the folders: the guardian has, unless it was killed."""
        if os.path.isdir(self._paths.state):
            card = read_card(self._paths.card) or {}
            pid = int(card.get("server_pid", "0"))
            deadline_s = time.monotonic() + 5.0
            while is_locked(self._paths.data_lock):
                if time.monotonic() > deadline_s and pid and start_time(pid) == card.get("server_started"):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)
            shutil.rmtree(self._paths.state, ignore_errors=True)

    def _forget(self) -> None:
        for fd in (self._owner_fd, self._report_fd):
            if fd >= 0:
                os.close(fd)
        self._owner_fd = self._report_fd = -1


def start_private(mesh: str, *, durability: Durability = "memory", nodes: int = 1) -> PrivateNode:
    """Start a node of this process's own, in a temporary folder.

    Args:
        mesh: The name of the mesh that it serves.
        durability: "memory" keeps nothing beyond the life of the server; with "process", its data survives
            when the server is killed and its guardian starts it again.
        nodes: How many nodes the mesh has, this one counted: what they agree upon numbers the epoch of several.

    Raises:
        ServerBinaryMissing: There is no server to start.
        ConfigError: The name or the server is not usable.
        NodeUnavailable: It did not start in time.
    """
    check_mesh_name(mesh)
    if durability not in {"memory", "process"}:
        raise ConfigError(f"a private node knows durability 'memory' and 'process', not {durability!r}")
    prefix = f"{_prefix()}{os.getpid()}-"
    try:
        with enough_files(mesh):
            _remove_leftovers()
        state = tempfile.mkdtemp(prefix=prefix)
        paths = placed(state)
        if paths.socket_folder != state:
            os.rmdir(state)
            state = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
            paths = placed(state)
        private_folder(state)
    except OSError as error:
        raise ConfigError(f"cannot make a folder for a private node: {error}") from error
    with enough_files(mesh, paths.socket):
        return _started(mesh, paths, durability, nodes)


def _started(mesh: str, paths: NodePaths, durability: Durability, nodes: int) -> PrivateNode:
    try:
        node, owner_read_fd = _new_node(mesh, paths)
    except OSError:
        os.rmdir(paths.state)
        raise
    try:
        order = order_for(mesh, paths, durability=durability, idle_s=0.0, owner_fd=owner_read_fd, nodes=nodes)
        node._start(order)  # noqa: SLF001 - our own
    except BaseException:
        node.close()
        raise
    finally:
        os.close(owner_read_fd)
    return node


def _new_node(mesh: str, paths: NodePaths) -> tuple[PrivateNode, int]:
    with _forking:
        read_fd, write_fd = os.pipe()
        node = PrivateNode(mesh, paths, write_fd)
        _owned.add(node)
    return node, read_fd


def _after_fork_in_child() -> None:
    _forking.release()
    for node in list(_owned):
        node._forget()  # noqa: SLF001 - our own
    _owned.clear()


# A started program inherits neither end (close-on-exec); a forked child would, and the node outlive its
# owner.
os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_after_fork_in_child
)


def _reads_as_ended(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        if poll.poll(left_s * 1000) and not os.read(fd, 65536):
            return True
    return False


def _prefix() -> str:
    return f"taskmesh-{os.getuid()}-p"


def _remove_leftovers() -> None:
    """Remove the folders of nodes whose owner and guardian were both killed, so that neither could."""
    now_s = time.time()
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if not entry.name.startswith(_prefix()):
                continue
            pid = entry.name.removeprefix(_prefix()).partition("-")[0]
            try:
                facts = entry.stat(follow_symlinks=False)
                ours = entry.is_dir(follow_symlinks=False) and facts.st_uid == os.getuid() and pid.isdigit()
                # The age, for an owner in another container, whose pid we cannot see.
                old = now_s - facts.st_mtime > _LEFTOVER_S
                if ours and old and not _is_alive(int(pid)) and not _is_used(entry.path):
                    shutil.rmtree(entry.path, ignore_errors=True)
            except FileNotFoundError:
                continue  # somebody else removed it


def _is_used(state: str) -> bool:
    paths = NodePaths(state)
    return is_locked(paths.guardian_lock) or is_locked(paths.data_lock)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
