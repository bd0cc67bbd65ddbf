"""Start a guardian and hear from it how the start went."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import taskmesh
from taskmesh.core import keys
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes.embedded_files import NodePaths, tail
from taskmesh.nodes.embedded_paths import machine_memory
from taskmesh.nodes.server_binary import find_server

# What a Python and a server may need to find their libraries and to write dates. The rest of the environment is the
# first caller's business, keys and passwords included, and has no place in a process that outlives it.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)

_MEMORY_SHARE = 4


class Order(NamedTuple):
    """A node to start: `owner_fd` is the reading end of its owner's pipe, -1 for a shared node."""

    mesh: str
    paths: NodePaths
    durability: str
    idle_s: float
    owner_fd: int


class Report(NamedTuple):
    """What the guardian said: `kind` is `ready`, `busy`, `config`, `failed`, `late` or `silent`."""

    kind: str
    text: str


def start_guardian(order: Order, deadline_s: float) -> tuple[Report, int]:
    """Start a guardian, detached from everything of this process, and wait for its report.

    Args:
        order: What to start.
        deadline_s: Until when to wait (monotonic).

    Returns:
        The report, and the open descriptor on which it came: it reads as ended once a private node's guardian is gone.

    Raises:
        ServerBinaryMissing: There is no server to start.
        ConfigError: This interpreter cannot start another, or the log cannot be written.
    """
    server = find_server()
    if not sys.executable:
        raise ConfigError("sys.executable is empty, so that no guardian can be started for the embedded node")
    report_fd, guardian_report_fd = os.pipe()
    try:
        log_fd = os.open(
            order.paths.guardian_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            log_start = os.fstat(log_fd).st_size
            inherited = [fd for fd in (guardian_report_fd, order.owner_fd) if fd >= 0]
            process = subprocess.Popen(
                _command(order, server, guardian_report_fd),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                cwd="/",
                env=_environment(),
                pass_fds=inherited,
                start_new_session=True,
            )
        finally:
            os.close(log_fd)
            os.close(guardian_report_fd)
        report = _hear(report_fd, deadline_s)
        if report.kind == "silent":
            report = Report(
                "failed", f"the guardian ended without a word\n{tail(order.paths.guardian_log, log_start)}"
            )
        # It hands over to its own child within milliseconds of its start, long before that child reports.
        if report.kind != "late":
            process.wait()
        else:
            process.poll()
            process.returncode = process.returncode or 0  # nobody's child to warn about
    except OSError as error:
        os.close(report_fd)
        raise ConfigError(
            f"cannot start the embedded node of {order.mesh!r} in {order.paths.state}: {error}"
        ) from error
    except BaseException:
        os.close(report_fd)
        raise
    return report, report_fd


def failure(order: Order, report: Report, waited_s: float) -> ConfigError | NodeUnavailable:
    """Return the error which says why the node did not start."""
    logs = f"see {order.paths.server_log} and {order.paths.guardian_log}"
    if report.kind == "config":
        return ConfigError(f"the embedded node of mesh {order.mesh!r} cannot start: {report.text}\n{logs}")
    if report.kind == "late":
        said = tail(order.paths.server_log, 0)
        return NodeUnavailable(
            f"the embedded node of mesh {order.mesh!r} was not ready within {waited_s:g} s "
            f"(it may be loading its data, and goes on); its server said last:\n{said}\n{logs}",
            node=order.paths.socket,
        )
    return NodeUnavailable(
        f"the embedded node of mesh {order.mesh!r} did not start: {report.text}\n{logs}",
        node=order.paths.socket,
    )


def _hear(fd: int, deadline_s: float) -> Report:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    heard = b""
    while not heard.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            return Report("late", "")
        data = os.read(fd, 65536)
        if not data:
            return Report("silent", "")
        heard += data
    kind, text = heard.decode("utf-8", "replace").rstrip("\n").split(" ", 1)
    return Report(kind, text)


def _command(order: Order, server: Path, report_fd: int) -> list[str]:
    options = {
        "mesh": order.mesh,
        "prefix": keys.prefix(order.mesh).decode("ascii"),
        "server": str(server),
        "state": order.paths.state,
        "sockets": order.paths.socket_folder,
        "durability": order.durability,
        "idle-s": str(order.idle_s),
        "maxmemory": str(machine_memory() // _MEMORY_SHARE),
        "owner-fd": str(order.owner_fd),
        "report-fd": str(report_fd),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    # -S and -P: no site-packages, no current folder. It needs the standard library and this package only.
    return [sys.executable, "-S", "-P", "-m", "taskmesh.nodes.guardian", *words]


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    package = taskmesh.__file__
    if package is None:
        raise ConfigError("taskmesh has no folder of its own, so that no guardian can be started from it")
    environment["PYTHONPATH"] = str(Path(package).resolve().parent.parent)
    return environment
