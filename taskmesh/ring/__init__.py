"""Which nodes keep which slots: consistent hashing that proposes a table, from the one before and the nodes. Pure.

Imports `errors` only. What a mesh obeys is the view, a register; this only proposes the next one. The same
input gives the same table on every machine: whole numbers and BLAKE2b, no floats, no order of a set. Read `node.py` and
`table.py` first, then `propose.py`, which tells the steps: `quota.py` (how much each may keep), `points.py` (the ring),
`place.py` (copies), `level.py` (from those above their quota to those below), `primaries.py`.

Sources: Karger et al., "Consistent Hashing and Random Trees" (STOC 1997), for the ring; DeCandia et al., "Dynamo" (SOSP
2007), section 6.2, strategy 3, for slots of equal size and a table of owners; Mirrokni, Thorup and Zadimoghaddam,
"Consistent Hashing with Bounded Loads" (arXiv 1608.01350), for walking on past whoever has enough.
"""

from taskmesh.ring.node import RingNode
from taskmesh.ring.propose import propose
from taskmesh.ring.table import Table

__all__ = ["RingNode", "Table", "propose"]
