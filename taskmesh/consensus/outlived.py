"""What became of an operation that was sent in a configuration that has ended, where the next begins anew.

Such a register was never written, or was deleted and left behind. The acceptors of before can tell which, until what
they hold is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.consensus.value import OPERATIONS_MAX, Done, Packing, absent

if TYPE_CHECKING:
    from taskmesh.consensus.configuration import Configuration
    from taskmesh.consensus.proposer import Found
    from taskmesh.consensus.registers import Operation


def done_before(
    packing: Packing, configuration: Configuration, name: str, left: Found | None, operation: Operation
) -> Done | None:
    """Return what an operation did in the configuration before, if that is certain; None if not.

    If it is certain that it did nothing, it goes on as one that was sent in this configuration first. Else it stays too
    old to be told of, which is what the caller gets to hear.

    Args:
        packing: Reads values.
        configuration: In which the register begins anew: nothing of before was taken over.
        name: Of the register.
        left: What a majority of the one before had accepted; None if they do not tell any more.
        operation: Was sent, and not in this configuration.
    """
    first, number = operation.first_version, configuration.number
    # of what was left after a loss nobody can tell whether it was chosen
    if left is None or first is None or configuration.readmitted_from:
        return None
    nothing = absent(number).version
    if not left.packed:
        # nothing was ever chosen there; of one still earlier they know nothing
        if first >= absent(number - 1).version:
            operation.outlives(nothing)
        return None
    value = packing.unpack(name, left.packed)
    done = value.done(operation.id)
    if done is None:
        # whatever was chosen is part of the value with the highest ballot, and this is not
        if value.version - first < OPERATIONS_MAX:
            operation.outlives(nothing)
        return None
    if value.content is not None and done == value.operations[-1]:
        # had it been chosen, it would have been taken over, for nothing was chosen after it, least of all a deletion
        operation.outlives(nothing)
        return None
    return done if left.chosen else None
