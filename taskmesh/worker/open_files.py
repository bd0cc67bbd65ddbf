"""Whether this process may open a file, without which it cannot connect to a node.

Tasks that leak files take them all in the end. A child that then loses its connection can neither claim nor commit nor
say so, while its supervisor keeps the lease of what it holds: it must end for that to be run.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable

log = logging.getLogger("taskmesh.worker")

#: A child without a connection ends after so long without a file. Tasks may need all there are for a moment.
WITHOUT_S = 4.0


class OpenFiles:
    """Looks each time the node was not reached. Any thread may say so."""

    def __init__(self, blame_nobody: Callable[[], None]) -> None:
        """Prepare.

        Args:
            blame_nobody: Has the page say that the end of this process is no message's fault.
        """
        self._blame_nobody = blame_nobody
        self._none_since_s = 0.0

    def reached(self) -> None:
        """Say that the node has answered."""
        self._none_since_s = 0.0

    def missed(self) -> None:
        """Say that the node was not reached; ends this process if that has been for want of files for too long."""
        now_s = time.monotonic()
        if may_open():
            self._none_since_s = 0.0
        elif not self._none_since_s:
            self._none_since_s = now_s
        elif now_s - self._none_since_s >= WITHOUT_S:
            log.error(
                "this child has no connection to the node and may open no more files (a task leaks them, or the limit "
                "is too low: ulimit -n); it ends, and its messages run again"
            )
            self._blame_nobody()
            os._exit(1)


def may_open() -> bool:
    """Tell whether this process may open one more file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
