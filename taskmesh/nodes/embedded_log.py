# ruff: noqa: PTH104, PTH116
# This module is loaded into the guardian, which does without pathlib.
"""The guardian's log, which is its standard error, and the bounds of it and of the server's."""

from __future__ import annotations

import os
import time

from taskmesh.nodes.embedded_files import NodePaths

LOG_BYTES_MAX = 1 << 20


def log(text: str) -> None:
    """Write a line to the log of this guardian."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(2, f"{now} guardian {os.getpid()}: {text}\n".encode("utf-8", "replace"))


def rotate_logs(paths: NodePaths, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Move what has grown too long out of the way: one old part of each log is kept."""
    _rotate(paths.server_log, bytes_max)  # the server opens its log anew for each line
    if _rotate(paths.guardian_log, bytes_max):
        fd = os.open(paths.guardian_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def _rotate(path: str, bytes_max: int) -> bool:
    """Move a log that has grown too long out of the way, and say whether it had."""
    try:
        if os.stat(path).st_size <= bytes_max:
            return False
    except FileNotFoundError:
        return False
    os.rename(path, path + ".1")
    return True
