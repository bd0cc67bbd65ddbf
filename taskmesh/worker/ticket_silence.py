"""When silence is suspicious: a consumer can be deaf without an error, and its worker would idle by a full queue."""

from __future__ import annotations

#: After so long without a ticket, while children wait, the broker is asked whether it has any.
QUIET_S = 5.0
#: If it has, it gets so long to deliver one.
AGAIN_S = 1.0
#: A new connection that hears nothing either is given up after longer each time, and this at most.
QUIET_S_MAX = 60.0


class Silence:
    """How long one consumer has heard nothing while it should have; only time in which it listened counts."""

    def __init__(self) -> None:
        """Begin with one that has just heard something."""
        self.heard()

    def heard(self) -> None:
        """Take in that a ticket came."""
        self._quiet_s = 0.0
        self._patience_s = QUIET_S
        self._look_s = QUIET_S
        self._is_suspected = False

    def lasts(self, waited_s: float) -> bool:
        """Take in that so much more was waited in vain, and tell whether the broker is to be asked for tickets."""
        self._quiet_s += waited_s
        return self._quiet_s >= self._look_s

    def is_deaf(self, *, tickets_wait: bool) -> bool:
        """Take in whether the broker has tickets, and tell whether the consumer, being deaf, is to be replaced."""
        if not tickets_wait:
            self._is_suspected = False
            self._look_s = self._quiet_s + self._patience_s
            return False
        if not self._is_suspected:
            self._is_suspected = True
            self._look_s = self._quiet_s + AGAIN_S
            return False
        self._is_suspected = False
        self._patience_s = min(QUIET_S_MAX, 2 * self._patience_s)
        self._look_s = self._quiet_s + self._patience_s
        return True
