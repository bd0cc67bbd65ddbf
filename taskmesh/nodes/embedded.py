"""The embedded node: a server that needs no installation, started when first needed.

Two kinds. The *shared* node of a mesh is one per host and account: whoever needs it first starts it, all
processes use it, it stays until `stop`, or ten minutes after nobody used it and nothing waited on it, and it
keeps its data. A *private* node belongs to the process which started it and leaves nothing behind.

A mesh may have several shared ones (`embedded_several.py`): each has a guardian of its own, and who needs one needs
all. One that is being started anew by its guardian is not waited for while another answers.

`guardian.py` tells what happens on the other side.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_end import stop
from taskmesh.nodes.embedded_files import (
    NodePaths,
    is_locked,
    open_lock,
    read_card,
    read_durability,
    try_lock,
    unlock,
)
from taskmesh.nodes.embedded_paths import host_folder, is_reachable_safely, make_folders, paths_of
from taskmesh.nodes.embedded_private import PrivateNode, start_private
from taskmesh.nodes.embedded_resp import Connection, ErrorReply
from taskmesh.nodes.embedded_several import places_in, places_of, settled
from taskmesh.nodes.embedded_start import Report, enough_files, failure, order_for, start_guardian
from taskmesh.nodes.room import advice_if_full

__all__ = [
    "PrivateNode",
    "Running",
    "called",
    "count_clients",
    "ensure_all",
    "ensure_at",
    "ensure_running",
    "last_durability",
    "running",
    "socket_path_of",
    "start_private",
    "stop",
]

IDLE_S = "TASKMESH_EMBEDDED_IDLE_S"

log = logging.getLogger("taskmesh")

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
    """Return where the first shared node of this mesh listens, or would listen.

    Raises:
        ConfigError: The name cannot be one of a mesh.
    """
    return paths_of(mesh).socket


def ensure_running(mesh: str, *, durability: str | None = None, timeout_s: float = 10.0) -> Running:
    """Return the shared node of this mesh, of several the first that answers; start those that do not run.

    As `ensure_all`, of a mesh with as many nodes as it was made with.
    """
    return ensure_all(mesh, durability=durability, timeout_s=timeout_s)[0]


def ensure_all(
    mesh: str, nodes: int | None = None, *, durability: str | None = None, timeout_s: float = 10.0
) -> list[Running]:
    """Return the shared nodes of this mesh that answer, at least one; start those that do not run.

    However many processes call this at the same time, each node is started once and all get it.

    Args:
        mesh: The name of the mesh.
        nodes: How many it should have; None for as many as it was made with, one for a new mesh.
        durability: What its data should survive: `process` death, power loss (`disk`), nothing (`memory`);
            None for what it has. If it is started now, None is what it was last started with, but never `memory`:
            whoever says nothing relies on the data outliving the server.
        timeout_s: How long to wait for a node that starts or loads its data.

    Raises:
        ServerBinaryMissing: There is no server to start.
        ConfigError: The name, a folder or the server is not usable, the node runs with another durability, or the
            mesh was made with another number of nodes.
        NodeUnavailable: None started, or not in time.
    """
    with enough_files(mesh, paths_of(mesh).socket):
        while True:
            places = settled(mesh, nodes)
            found = _ensured_all(mesh, places, durability, timeout_s)
            if len(places_of(mesh)) == len(places):  # else somebody made it of several meanwhile
                return found


def ensure_at(mesh: str, socket_path: str, *, durability: str | None = None, timeout_s: float = 10.0) -> None:
    """See to it that the one shared node of this mesh which listens there runs; the others are left alone.

    One that its guardian is starting again is not waited for.

    Raises:
        ServerBinaryMissing, ConfigError, NodeUnavailable: As `ensure_all`.
    """
    with enough_files(mesh, socket_path):
        for paths in places_of(mesh):
            if paths.socket == socket_path and not is_locked(paths.guardian_lock):
                _ensured(mesh, paths, durability, timeout_s)


def _ensured_all(
    mesh: str, places: Sequence[NodePaths], durability: str | None, timeout_s: float
) -> list[Running]:
    if len(places) == 1:
        return [_ensured(mesh, places[0], durability, timeout_s)]
    answering = {paths: node for paths in places if (node := _connected(paths)) is not None}
    failures: list[NodeUnavailable] = []
    for paths in places:
        # What its guardian starts again comes by itself, and nobody else's call should take longer for it.
        if paths in answering or (answering and is_locked(paths.guardian_lock)):
            continue
        try:
            answering[paths] = _ensured(mesh, paths, durability, timeout_s)
        except NodeUnavailable as error:
            failures.append(error)
    if not answering:
        raise failures[0]
    for failed in failures:
        log.warning("%s", failed)
    return [_agreed(answering[paths], durability) for paths in places if paths in answering]


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
                order = order_for(
                    mesh,
                    paths,
                    durability=durability or _as_before(mesh),
                    idle_s=idle_s,
                    nodes=len(places_of(mesh)),
                )
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


def running() -> list[Running]:
    """Return the shared nodes of this account which run on this host, those of one mesh one after the other."""
    folder = Path(host_folder())
    if not folder.is_dir():
        return []
    places = (paths for state in sorted(folder.iterdir()) for paths in places_in(str(state)))
    return [node for paths in places if (node := _connected(paths)) is not None]


def called(mesh: str, count: int) -> str:
    """Return how to name the embedded nodes of a mesh in a sentence."""
    return f"the embedded node of mesh {mesh}" if count == 1 else f"the {count} embedded nodes of mesh {mesh}"


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
