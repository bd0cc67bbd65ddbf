"""Whether a node that came back has answered for long enough to be taken in.

Flap damping, in the manner of RFC 2439: each return doubles how long it has to answer first, and a time of quiet
takes that back.
"""

from __future__ import annotations

from collections.abc import Collection

#: How long a node that comes back must have answered before it is taken in; twice as long with each time that it came.
STEADY_S = 1.0
STEADY_S_MAX = 300.0
#: Who has answered for so many times as long as it had to counts as one that never went.
FORGIVEN = 8


class Steadiness:
    """Since when each node has answered, and how often it came back."""

    def __init__(self) -> None:
        """Begin: nobody has answered."""
        self._since_s: dict[str, float] = {}
        self._came: dict[str, int] = {}

    def note(self, nodes: Collection[str], answering: Collection[str], now_s: float) -> None:
        """Take in who answers now.

        Args:
            nodes: Ids of all.
            answering: Of those who answer.
            now_s: On any clock that only goes forward.
        """
        for node in nodes:
            if node in answering:
                if node not in self._since_s:
                    self._since_s[node] = now_s
                    self._came[node] = self._came.get(node, -1) + 1
            elif (since_s := self._since_s.pop(node, None)) is not None and (
                now_s - since_s >= FORGIVEN * self.needed_s(node)
            ):
                self._came[node] = 0

    def needed_s(self, node: str) -> float:
        """Return for how long a node has to answer."""
        return float(min(STEADY_S_MAX, STEADY_S * 2 ** self._came.get(node, 0)))

    def holds(self, node: str, now_s: float) -> bool:
        """Tell whether a node has answered for so long."""
        return now_s - self._since_s.get(node, now_s) >= self.needed_s(node)
