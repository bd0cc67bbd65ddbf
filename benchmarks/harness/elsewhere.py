"""Run a command under another host name: `python -m benchmarks.harness.elsewhere NAME COMMAND...` (Linux).

The name is the command's own (a UTS namespace), so a worker started so takes others for workers of another machine.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys

_CLONE_NEWUTS = 0x04000000
_CLONE_NEWUSER = 0x10000000


def rename_host(name: str) -> None:
    """Give this process, and those that it starts, another host name.

    Raises:
        OSError: It has no right to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWUTS if os.geteuid() == 0 else _CLONE_NEWUTS | _CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    socket.sethostname(name)


def can_rename_host() -> bool:
    """Whether `rename_host` works here."""
    probe = [sys.executable, "-m", "benchmarks.harness.elsewhere", "bench-probe", sys.executable, "-c", ""]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    rename_host(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
