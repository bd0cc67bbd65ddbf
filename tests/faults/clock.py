"""A wall clock that can be moved while processes read it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("moved_clock.c")


class Clock:
    """One clock, for the processes that are started with it.

    Attributes:
        env: What a process needs in its environment to read this clock.
    """

    def __init__(self, folder: Path) -> None:
        """Make it, right at first; without a compiler the test is skipped."""
        if sys.platform != "linux" or shutil.which("gcc") is None:
            pytest.skip("gcc is missing, with which the clock's library is made")
        self._file = folder / "clock"
        self.move(0)
        library = folder / "moved_clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True, timeout=90)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def move(self, seconds: int) -> None:
        """Have it that many seconds off."""
        with self._file.open("r+b" if self._file.exists() else "xb") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
