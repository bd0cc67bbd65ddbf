"""Whether the disk under a node is full: what fails by that says little, or cannot even be written to a log."""

from __future__ import annotations

import os
from pathlib import Path

from taskmesh.nodes.embedded_paths import STATE_DIR

#: With less room than this the server of an embedded node cannot go on, nor start.
ROOM_OCTETS_MIN = 1 << 20


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def advice_if_full(folder: str) -> str:
    """Return what to say after an error of a node that keeps its files in a folder; empty if there is room.

    Args:
        folder: It need not exist yet.
    """
    disk = os.statvfs(existing(Path(folder)))
    if disk.f_bavail * disk.f_frsize >= ROOM_OCTETS_MIN:
        return ""
    return f"\nthe disk that holds {folder} is full: make room there, or let {STATE_DIR} name a folder on another one"
