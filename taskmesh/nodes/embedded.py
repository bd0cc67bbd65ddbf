"""The embedded node: a server that needs no installation, started when first needed.

Two kinds. The *shared* node of a mesh is one per host and account: whoever needs it first starts it, all
processes use it, it stays until `stop`, or ten minutes after nobody used it and nothing waited on it, and it
keeps its data. A *private* node belongs to the process which started it and leaves nothing behind.

`guardian.py` tells what happens on the other side.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_files import (
    NodePaths,
    is_locked,
    open_lock,
    read_card,
    read_durability,
    read_small,
    start_time,
    try_lock,
    unlock,
)
from taskmesh.nodes.embedded_paths import host_folder, is_reachable_safely, make_folders, paths_of, placed
from taskmesh.nodes.embedded_private import PrivateNode, start_private
from taskmesh.nodes.embedded_resp import Connection, ErrorReply
from taskmesh.nodes.embedded_start import Report, enough_files, failure, order_for, start_guardian
from taskmesh.nodes.room import advice_if_full

__all__ = [
    "PrivateNode",
    "Running",
    "count_clients",
    "ensure_running",
    "last_durability",
    "running",
    "socket_path_of",
    "start_private",
    "stop",
]

IDLE_S = "TASKMESH_EMBEDDED_IDLE_S"

_POLL_S = 0.005
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A shared embedded node that answers.

    Attributes:
        mesh: The mesh that it serves.
        socket_path: The Unix socket on which it listens.
        generation: How often it has been started; the high part of its epoch.
        server_pid: The server.
        guardian_pid: Its parent.
        data_dir: Where it keeps its data.
        idle_s: How long it stays when nobody uses it.
        durability: What its data survives: `process` death, power loss (`disk`), nothing (`memory`).
    """

    mesh: str
    socket_path: str
    generation: int
    server_pid: int
    guardian_pid: int
    data_dir: Path
    idle_s: float
    durability: str = "process"


def socket_path_of(mesh: str) -> str:
    """Return where the shared node of this mesh listens, or would listen.

    Raises:
        ConfigError: The name cannot be one of a mesh.
    """
    return paths_of(mesh).socket


def ensure_running(mesh: str, *, durability: str | None = None, timeout_s: float = 10.0) -> Running:
    """Return the shared node of this mesh; start it if it does not run.

    However many processes call this at the same time, one node is started and all get it.

    Args:
        mesh: The name of the mesh.
        durability: What its data should survive: `process` death, power loss (`disk`), nothing (`memory`);
            None for what it has. If it is started now, None is what it was last started with, but never `memory`:
            whoever says nothing relies on the data outliving the server.
        timeout_s: How long to wait for a node that starts or loads its data.

    Raises:
        ServerBinaryMissing: There is no server to start.
        ConfigError: The name, a folder or the server is not usable, or the node runs with another durability.
        NodeUnavailable: It did not start, or not in time.
    """
    paths = paths_of(mesh)
    with enough_files(mesh, paths.socket):
        return _ensured(mesh, paths, durability, timeout_s)


def _ensured(mesh: str, paths: NodePaths, durability: str | None, timeout_s: float) -> Running:
    found = _connected(paths)
    if found is not None:
        return _agreed(found, durability)
    deadline_s = time.monotonic() + timeout_s
    make_folders(paths)
    idle_s = _idle_s()
    try:
        lock = open_lock(paths.start_lock)
    except OSError as error:
        raise ConfigError(
            f"cannot write {paths.start_lock}: {error.strerror}{advice_if_full(paths.state)}"
        ) from error
    holding = False
    try:
        while True:
            found = _connected(paths)
            if found is not None:
                return _agreed(found, durability)
            holding = holding or try_lock(lock)
            # A guardian that is there starts its server by itself.
            if holding and not is_locked(paths.guardian_lock):
                order = order_for(mesh, paths, durability=durability or _as_before(mesh), idle_s=idle_s)
                report, report_fd = start_guardian(order, deadline_s)
                os.close(report_fd)
                if report.kind == "ready":
                    continue
                if report.kind != "busy":
                    raise failure(mesh, paths, report, timeout_s)
            if time.monotonic() > deadline_s:
                raise failure(mesh, paths, Report("late", ""), timeout_s)
            time.sleep(_POLL_S)
    finally:
        unlock(lock)


def last_durability(mesh: str) -> str | None:
    """Return the durability with which the shared node of this mesh was last started; None if it never was.

    Raises:
        ConfigError: What is kept of it cannot be read.
    """
    path = paths_of(mesh).durability
    try:
        return read_durability(path)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def stop(mesh: str, timeout_s: float = 30.0) -> bool:
    """Shut down the shared node of this mesh and wait until it is gone; its data stays.

    Returns:
        Whether there was one.

    Raises:
        NodeUnavailable: It did not end in time.
    """
    paths = paths_of(mesh)
    deadline_s = time.monotonic() + timeout_s
    told: str | None = None
    while is_locked(paths.guardian_lock):
        holder = (read_small(paths.guardian_lock) or b"").decode()
        if holder != told:
            if told is not None:
                break  # another one was started meanwhile
            pid, _, started = holder.strip().partition(" ")
            # Between taking the lock and writing its pid, a new guardian holds the file of the last one.
            if pid and start_time(int(pid)) == started:
                os.kill(int(pid), signal.SIGTERM)
                told = holder
        if time.monotonic() > deadline_s:
            raise NodeUnavailable(
                f"the embedded node of mesh {mesh!r} (guardian {holder.split(' ')[0]}) did not end within "
                f"{timeout_s:g} s; see {paths.guardian_log}",
                node=paths.socket,
            )
        time.sleep(_POLL_S)
    return told is not None


def running() -> list[Running]:
    """Return the shared nodes of this account which run on this host."""
    folder = Path(host_folder())
    if not folder.is_dir():
        return []
    nodes = (_connected(placed(str(state))) for state in sorted(folder.iterdir()))
    return [node for node in nodes if node is not None]


def count_clients(node: Running) -> int:
    """Return how many connections the node's users have open now.

    Raises:
        NodeUnavailable: It does not answer.
    """
    try:
        connection = Connection(node.socket_path, _ANSWER_S)
        try:
            reply = connection.call("CLIENT", "LIST")
        finally:
            connection.close()
    except (OSError, ErrorReply) as error:
        raise NodeUnavailable(
            f"the embedded node of mesh {node.mesh!r} at {node.socket_path} does not answer: {error}",
            node=node.socket_path,
        ) from error
    lines = reply.splitlines() if isinstance(reply, bytes) else []
    return len(lines) - 2  # this connection, and the guardian's


def _connected(paths: NodePaths) -> Running | None:
    """Return the node if a connection to it succeeds, which costs less than anything one could ask it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(paths.socket)
        except OSError:
            return None
        if not is_reachable_safely(paths) or not is_locked(paths.guardian_lock):
            return None  # the server of a guardian that was killed: about to go, or to be replaced
        card = read_card(paths.card)
    if card is None:
        return None
    return Running(
        mesh=card["mesh"],
        socket_path=paths.socket,
        generation=int(card["generation"]),
        server_pid=int(card["server_pid"]),
        guardian_pid=int(card["guardian_pid"]),
        data_dir=Path(paths.data),
        idle_s=float(card["idle_s"]),
        durability=card["durability"],
    )


def _as_before(mesh: str) -> str:
    before = last_durability(mesh)
    return before if before == "disk" else "process"


def _agreed(node: Running, durability: str | None) -> Running:
    if durability is not None and node.durability != durability:
        raise ConfigError(
            f"the embedded node of mesh {node.mesh!r} runs with durability={node.durability!r}, and this process asks "
            f"for {durability!r}: give all its processes the same setting and start it anew (taskmesh down "
            f"--mesh {node.mesh})"
        )
    return node


def _idle_s() -> float:
    text = os.environ.get(IDLE_S, "600")
    try:
        idle_s = float(text)
    except ValueError:
        idle_s = -1.0
    if not 0 < idle_s < 1e9:
        raise ConfigError(f"{IDLE_S} is {text!r}, and should be a number of seconds above 0, such as 600")
    return idle_s
