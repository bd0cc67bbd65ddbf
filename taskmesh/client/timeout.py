"""How long a caller wants to wait, as it was given."""

from __future__ import annotations

import math
import threading
from typing import Any

from taskmesh.errors import UsageError


def read_timeout(timeout: Any) -> float | None:
    """Return a timeout in seconds; None for ever, which infinity means as well.

    Args:
        timeout: A number, or None.

    Raises:
        UsageError: It is not a number.
    """
    if timeout is None:
        return None
    try:
        if timeout > threading.TIMEOUT_MAX:
            return None  # no lock of this system can wait so long
        seconds = float(timeout)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise _refused(timeout) from error
    if math.isnan(seconds):
        raise _refused(timeout)
    return seconds


def _refused(timeout: Any) -> UsageError:
    return UsageError(f"timeout={timeout!r}: expected a number of seconds, or None to wait for ever")
