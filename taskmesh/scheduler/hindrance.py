"""What keeps a process from its work, as its log says it: at once, again from time to time, and when it is over."""

from __future__ import annotations

import logging
import math

log = logging.getLogger("taskmesh.scheduler")
#: How often it is said again while it lasts.
AGAIN_S = 60.0


class Hindrance:
    """One thing that may be kept from being done.

    Attributes:
        why: What keeps it now; empty if nothing does.
    """

    def __init__(self, who: str, what: str) -> None:
        """Prepare.

        Args:
            who: Name of the process.
            what: What it does otherwise: `take part in ...`.
        """
        self._who = who
        self._what = what
        self._since_s = self._said_s = math.nan
        self.why = ""

    def met(self, why: str, now_s: float) -> None:
        """Say that it cannot be done, unless that was said a moment ago.

        Args:
            why: The reason as it is now.
            now_s: On a clock that never goes back.
        """
        self.why = why
        if math.isnan(self._since_s):
            self._since_s = self._said_s = now_s
            log.warning("%s cannot %s: %s", self._who, self._what, why)
        elif now_s - self._said_s >= AGAIN_S:
            self._said_s = now_s
            log.warning("%s cannot %s, for %.0f s now: %s", self._who, self._what, now_s - self._since_s, why)

    def is_over(self, now_s: float) -> None:
        """Say that it can be done, if it could not."""
        self.why = ""
        if not math.isnan(self._since_s):
            log.info("%s can %s again, after %.0f s", self._who, self._what, now_s - self._since_s)
            self._since_s = self._said_s = math.nan
