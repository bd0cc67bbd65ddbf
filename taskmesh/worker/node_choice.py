"""From which nodes of a large mesh the children of one worker claim, so that connections stay bounded.

Each worker keeps those that rank highest for its name (rendezvous hashing: Thaler and Ravishankar 1998), however others
come and go. Chance may leave a node without a worker; so the last place of each goes around among all the others, and
no node waits for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

#: How long the last place stays with a node.
TURN_S = 2.0
#: So many if nobody says otherwise.
NODES_MAX = 8


class Choice:
    """The choice of one worker."""

    def __init__(self, worker: str, most: int) -> None:
        """Prepare.

        Args:
            worker: Its name.
            most: How many nodes; 0 for all up to `NODES_MAX`.
        """
        self._worker = worker
        self._most = most or NODES_MAX

    def nodes(self, nodes: Sequence[str], now_s: float) -> tuple[str, ...]:
        """Return the nodes from which to claim now, in the order in which they were named.

        Args:
            nodes: All.
            now_s: On a clock that never goes back.
        """
        if len(nodes) <= self._most:
            return tuple(nodes)
        ranked = sorted(nodes, key=self._rank, reverse=True)
        kept, others = ranked[: self._most - 1], ranked[self._most - 1 :]
        chosen = {*kept, others[int(now_s / TURN_S) % len(others)]}
        return tuple(node for node in nodes if node in chosen)

    def _rank(self, node: str) -> bytes:
        return blake2b(f"{self._worker}\0{node}".encode(), digest_size=8).digest()
