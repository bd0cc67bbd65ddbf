# ruff: noqa: PTH110
# Descriptors are what is passed on.
"""Start a guardian and hear from it how the start went."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from taskmesh.core import keys, version
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_files import NodePaths, tail
from taskmesh.nodes.embedded_order import Order
from taskmesh.nodes.embedded_paths import machine_memory
from taskmesh.nodes.room import advice_if_full
from taskmesh.nodes.server_binary import find_server

# What a Python and a server may need to find their libraries and to write dates. The rest of the environment
# is the first caller's business, keys and passwords included, and has no place in a process that outlives it.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)

_MEMORY_SHARE = 4


class Report(NamedTuple):
    """What was heard of a start: a kind and text of `Order.report`, or `late`, nothing in time."""

    kind: str
    text: str


@contextmanager
def enough_files(mesh: str, node: str = "") -> Iterator[None]:
    """Say in a sentence that this process, or the machine, may not open more files.

    Raises:
        NodeUnavailable: It may not; once others are closed it may again.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        raise NodeUnavailable(
            f"the embedded node of mesh {mesh!r} cannot be looked for or started: {error.strerror}; close some, or "
            "raise the limit (ulimit -n)",
            node=node,
        ) from error


def order_for(
    mesh: str, paths: NodePaths, *, durability: str, idle_s: float, owner_fd: int = -1, nodes: int = 1
) -> Order:
    """Return the order for a node of this mesh on this machine.

    Args:
        mesh: Its name.
        paths: Where the node keeps its files.
        durability: What its data should survive.
        idle_s: How long it stays when nobody uses it; 0: for ever.
        owner_fd: The reading end of its owner's pipe; -1: nobody owns it.
        nodes: How many nodes the mesh has on this machine: they share its memory.

    Raises:
        ServerBinaryMissing: There is no server to start.
    """
    return Order(
        mesh=mesh,
        prefix=keys.prefix(mesh).decode("ascii"),
        server=str(find_server()),
        paths=paths,
        durability=durability,
        maxmemory=machine_memory() // _MEMORY_SHARE // nodes,
        idle_s=idle_s,
        owner_fd=owner_fd,
        report_fd=-1,
        is_one_of_several=nodes > 1,
    )


def start_guardian(order: Order, deadline_s: float) -> tuple[Report, int]:
    """Start a guardian, detached from everything of this process, and wait for its report.

    Args:
        order: What to start.
        deadline_s: Until when to wait (monotonic).

    Returns:
        The report, and the open descriptor on which it came. It reads as ended once the guardian of a
        private node is gone.

    Raises:
        ConfigError: This interpreter cannot start another, or the node's folder cannot be written.
        NodeUnavailable: The system cannot start a process or write a file just now.
    """
    report_fd, order.report_fd = os.pipe()
    try:
        log_start, process = _launch(order)
        report = _hear(report_fd, deadline_s)
        # It hands over to its own child within milliseconds of its start, long before that child reports.
        if report.kind == "late":
            process.kill()
        process.wait()
    except OSError as error:
        os.close(report_fd)
        text = f"cannot start the embedded node of mesh {order.mesh!r} in {order.paths.state}: {error}"
        text += advice_if_full(order.paths.state)
        if isinstance(error, PermissionError):
            raise ConfigError(text) from error
        raise NodeUnavailable(text, node=order.paths.socket) from error
    except BaseException:
        os.close(report_fd)
        raise
    if report.kind == "silent":
        said = tail(order.paths.guardian_log, log_start)
        report = Report("failed", f"the guardian ended without a word\n{said}")
    return report, report_fd


def failure(mesh: str, paths: NodePaths, report: Report, waited_s: float) -> ConfigError | NodeUnavailable:
    """Return the error which says why the node did not start."""
    logs = [path for path in (paths.server_log, paths.guardian_log) if os.path.exists(path)]
    see = (f"\nsee {' and '.join(logs)}" if logs else "") + advice_if_full(paths.state)
    if report.kind == "config":
        return ConfigError(f"the embedded node of mesh {mesh!r} cannot start: {report.text}{see}")
    if report.kind == "late":
        said = tail(paths.server_log, 0)
        said = f"; its server said last:\n{said}" if said else ""
        text = f"was not ready within {waited_s:g} s, and may go on loading its data{said}"
    else:
        text = f"did not start: {report.text}"
    return NodeUnavailable(f"the embedded node of mesh {mesh!r} {text}{see}", node=paths.socket)


def _launch(order: Order) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the process; return it, and how long the log was before."""
    # A frozen program is its own executable: it would start itself again, not a guardian.
    if not sys.executable or getattr(sys, "frozen", False):
        os.close(order.report_fd)
        raise ConfigError(
            f"{sys.executable or 'this program'!r} is no Python interpreter that could run the guardian of "
            "the embedded node: start a server yourself and give the mesh nodes=[...]"
        )
    log_fd = -1
    try:
        log_fd = os.open(
            order.paths.guardian_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        log_start = os.fstat(log_fd).st_size
        process = subprocess.Popen(
            # -S and -P: no site-packages, no current folder; it needs the standard library and this package
            # only.
            [sys.executable, "-S", "-P", "-m", "taskmesh.nodes.guardian", *order.words()],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            cwd="/",
            env=_environment(),
            pass_fds=[fd for fd in (order.report_fd, order.owner_fd) if fd >= 0],
            start_new_session=True,
        )
        return log_start, process
    finally:
        os.close(order.report_fd)
        if log_fd >= 0:
            os.close(log_fd)


def _hear(fd: int, deadline_s: float) -> Report:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    heard = b""
    while not heard.endswith(b"\0"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            return Report("late", "")
        data = os.read(fd, 65536)
        if not data:
            return Report("silent", "")
        heard += data
    kind, text = heard.decode("utf-8", "replace").rstrip("\0").split(" ", 1)
    return Report(kind, text)


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # The root of the very package that runs here, whichever way it was found.
    environment["PYTHONPATH"] = str(Path(version.__file__).resolve().parent.parent.parent)
    return environment
