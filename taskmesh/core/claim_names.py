"""How a worker's processes name a claim: node and sequence in one number, for sequences are counted per node.

With one node, which has no name, it is the sequence itself.
"""

from __future__ import annotations

_SEQUENCE_BITS = 32


def claim_name(node: str, sequence: int) -> int:
    """Return the name of a claim.

    Args:
        node: Where it was made: "n7", or "" for the only one.
        sequence: Of the claim on that node.
    """
    return int(node[1:] or "0") << _SEQUENCE_BITS | sequence


def node_of(name: int) -> str:
    """Return where a claim was made."""
    ordinal = name >> _SEQUENCE_BITS
    return f"n{ordinal}" if ordinal > 0 else ""


def sequence_of(name: int) -> int:
    """Return a claim's sequence on its node."""
    return name & (1 << _SEQUENCE_BITS) - 1
