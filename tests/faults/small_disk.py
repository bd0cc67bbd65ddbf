"""A disk of its own that can be full."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import unmount


class SmallDisk:
    """A file system of a few megabytes in memory.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        """Mount it; who may not, has the test skipped."""
        if os.geteuid() != 0:
            pytest.skip("only root may mount the small disk")
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
        mounted = subprocess.run(words, capture_output=True, text=True, check=False, timeout=90)
        if mounted.returncode:
            pytest.skip(f"the small disk cannot be mounted: {mounted.stderr.strip()}")

    def fill(self) -> None:
        """Write until there is no room any more."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    assert "No space left" in str(error)  # noqa: PT017 - that is how it is known to be full

    def make_room(self) -> None:
        """Remove what fills it."""
        self._filler.unlink()

    def close(self) -> None:
        """Unmount it."""
        unmount(self.folder)
