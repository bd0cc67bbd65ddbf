"""The clock by which leases are measured: it never goes back, and it goes on while the machine sleeps."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def lease_now_s() -> float:
    """Return seconds since some moment. Without such a clock, one that stands still while the machine sleeps."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
