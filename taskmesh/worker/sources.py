"""The source files of an app, and whether one has changed: for `taskmesh worker --reload`.

They are looked at, not listened for: that works on every file system, also on those that a virtual machine shares.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

#: How often they are looked at.
LOOK_S = 0.5
#: Folders that hold other people's code.
_FOREIGN = {"site-packages", "dist-packages", "node_modules", "__pycache__"}


def imported_files() -> list[str]:
    """Return the files of the modules that this process has imported, without Python's own and installed ones."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({file for file in files if file and _is_own(file)})


def files_of_failure(error: BaseException) -> list[str]:
    """Return the files that an import which failed has touched: the one to be mended is among them."""
    files = set(imported_files())
    if isinstance(error, SyntaxError) and error.filename:
        files.add(error.filename)
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        files.add(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return sorted(file for file in files if _is_own(file))


def _is_own(file: str) -> bool:
    if not file.endswith(".py") or _FOREIGN & set(Path(file).parts):
        return False
    foreign = (sysconfig.get_path("stdlib"), str(Path(__file__).parents[1]))
    return not any(Path(file).is_relative_to(folder) for folder in foreign)


class Sources:
    """What is watched, as it was seen last."""

    def __init__(self, folders: Sequence[str]) -> None:
        """Prepare.

        Args:
            folders: Every Python file in these is watched as well, new ones included.
        """
        self._folders = folders
        self._more: Sequence[str] = ()
        self._seen: dict[str, tuple[int, int] | None] = {}

    def watch(self, files: Iterable[str], folders: Sequence[str] = ()) -> None:
        """Watch these from now on. What was watched before is compared with what it was then.

        Args:
            files: Paths.
            folders: More folders to watch.
        """
        before = self._seen
        self._more = folders
        self._seen = {
            file: before[file] if file in before else _stamp(file) for file in {*files, *self._in_folders()}
        }

    def changed(self) -> str:
        """Return a file that is not as it was, and take all as they are now; empty if there is none."""
        now = {file: _stamp(file) for file in {*self._seen, *self._in_folders()}}
        found = [file for file, stamp in now.items() if stamp != self._seen.get(file)]
        self._seen = now
        return min(found, default="")

    def _in_folders(self) -> Iterator[str]:
        for folder in {*self._folders, *self._more}:
            for path, folders, files in os.walk(folder):
                folders[:] = [name for name in folders if _is_entered(path, name)]
                yield from (f"{path}/{name}" for name in files if name.endswith(".py"))


def _is_entered(path: str, name: str) -> bool:
    return not name.startswith(".") and name not in _FOREIGN and not Path(path, name, "pyvenv.cfg").exists()


def _stamp(file: str) -> tuple[int, int] | None:
    """Return what changes with a file; None if it does not exist."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
