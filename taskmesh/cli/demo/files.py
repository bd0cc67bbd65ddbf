"""Finding the files to analyse."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

OTHERS_CODE = frozenset({"site-packages", "dist-packages", "__pycache__"})
"""Folders that are not entered: what was installed into a Python is not its own code."""


def standard_library() -> Path:
    """Return the folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def python_files(root: Path, on_unreadable: Callable[[OSError], None]) -> list[Path]:
    """Return the paths of all `*.py` below `root`, in a fixed order.

    Links to folders are not followed, so a loop of links ends; folders of installed packages are left out,
    unless `root` is one itself. Only regular files count: reading from a pipe named `x.py` would never end.

    Args:
        root: The folder to walk.
        on_unreadable: Called for each folder that cannot be listed.
    """
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=on_unreadable):
        subfolders[:] = sorted(name for name in subfolders if name not in OTHERS_CODE)
        paths = (Path(folder, name) for name in sorted(names) if name.endswith(".py"))
        found += [path for path in paths if path.is_file()]
    return found


def warm(paths: Iterable[Path]) -> int:
    """Read every file once and return their bytes.

    Both measurements then find the files in the page cache; otherwise the first one would pay for the disk.
    A file that cannot be read is left to its task, which reports it.
    """
    total = 0
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    total += len(block)
        except OSError:
            continue
    return total
