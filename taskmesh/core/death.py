"""How a process died while it ran a task, for whoever tells of that run in its place."""

from __future__ import annotations

import msgspec


class Death(msgspec.Struct, frozen=True):
    """How a process died.

    Attributes:
        how: In words: an exit code, a signal, a time limit that was over.
        at_ms: When that was noticed, Unix time.
        state: In which the message ended, if the process was ended for that; empty if it died by itself.
    """

    how: str
    at_ms: int
    state: str = ""
