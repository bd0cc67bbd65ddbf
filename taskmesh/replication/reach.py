"""Whether enough nodes answer for messages of all slots to be taken: what a process says that is asked if it is ready.

What a process sends counts when `copies_needed` nodes of the slot have it. Where fewer answer, sends are refused until
they are back, or a view does without them: which takes some seconds, unless most acceptors are away as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from taskmesh.replication.view import View

#: So long it must last until it is told: twice what it takes to do without a node that is lost.
OUT_OF_REACH_S = 10.0
#: In so many looks at least it must have been seen: a process that stood still itself has seen nothing meanwhile.
LOOKS_MIN = 3
#: So many nodes are named.
NAMED_MAX = 3


class Reach:
    """What one process sees of that.

    Attributes:
        why: Of which slots messages cannot be taken, in words; empty if they can, or could a moment ago.
    """

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.why = ""
        self._since_s = 0.0
        self._looks = 0
        self._counted: tuple[int, frozenset[str], int] = (0, frozenset(), 0)

    def looked(self, view: View, answered: Collection[str], now_s: float) -> None:
        """Note which nodes have just answered, or not.

        Args:
            view: As this process knows it.
            answered: The nodes.
            now_s: On a clock that never goes back.
        """
        silent = frozenset(view.nodes).difference(answered)
        count = self._count(view, silent) if silent else 0
        if not count:
            self._looks, self.why = 0, ""
            return
        if not self._looks:
            self._since_s = now_s
        self._looks += 1
        lasts_s = now_s - self._since_s
        if lasts_s >= OUT_OF_REACH_S and self._looks >= LOOKS_MIN:
            self.why = (
                f"messages of {count:,} of {view.slots:,} slots cannot be taken, for {lasts_s:.0f} s: "
                f"too few nodes that keep them answer, without {_named(sorted(silent))}"
            )

    def _count(self, view: View, silent: frozenset[str]) -> int:
        """Return of how many slots too few nodes answer: it takes a while, and is the same until others answer."""
        if self._counted[:2] != (view.number, silent):
            rows = Counter(view.table)
            out = sum(
                many for row, many in rows.items() if sum(node not in silent for node in row) <= len(row) // 2
            )
            self._counted = view.number, silent, out
        return self._counted[2]


def _named(nodes: list[str]) -> str:
    more = f" and {len(nodes) - NAMED_MAX:,} more" if len(nodes) > NAMED_MAX else ""
    return ", ".join(nodes[:NAMED_MAX]) + more
