"""Waiting until something can be read, however many files the process has open: `select` takes none above 1023."""

from __future__ import annotations

import math
import select
from typing import Protocol


class HasFile(Protocol):
    """Such as a socket."""

    def fileno(self) -> int:
        """Return its descriptor."""


def readable(*files: int | HasFile, timeout_s: float) -> bool:
    """Tell whether one of some descriptors can be read, or has ended, within a time.

    Args:
        files: Which.
        timeout_s: How long to wait for that.
    """
    poller = select.poll()
    for file in files:
        poller.register(file, select.POLLIN)
    return bool(poller.poll(math.ceil(max(0.0, timeout_s) * 1000)))
