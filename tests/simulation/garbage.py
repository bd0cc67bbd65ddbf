"""Garbage collected now and then only: worlds are circles, and looking for them costs a tenth of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Collect no garbage before the end of this; some dozens of worlds at most, which stay in memory until then."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
