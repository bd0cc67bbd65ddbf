"""How these tests look at a node and at its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from taskmesh.nodes.embedded_files import start_time
from taskmesh.nodes.embedded_resp import Connection, Reply


def is_alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    if sys.platform == "linux":
        return start_time(pid) != ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask(socket_path: str, *words: str) -> Reply:
    """Send one command to a node."""
    connection = Connection(socket_path, 90.0)
    try:
        return connection.call(*words)
    finally:
        connection.close()


def answers(socket_path: str) -> bool:
    """Say whether somebody listens and answers."""
    try:
        return ask(socket_path, "PING") == b"PONG"
    except OSError:
        return False


def python(code: str, *arguments: str, **options) -> subprocess.Popen[str]:
    """Start a Python of its own which runs this code."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
        **options,
    )
