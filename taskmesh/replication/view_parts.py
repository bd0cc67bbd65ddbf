"""Deletes the parts of large views that are in force no more, and of those that never came to be."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.core.steps import GroupSteps
from taskmesh.replication.packed_view import PART, is_outdated
from taskmesh.replication.view_register import VIEW


def delete_outdated_parts(registers: Registers, operation: Callable[[], Operation]) -> GroupSteps[int]:
    """Delete what no view needs any more, and return how many registers that was.

    A leader that is about to write a view writes its parts for the version of the register that it has read. Once
    another version stands there, it cannot succeed.

    Args:
        registers: Of the mesh.
        operation: Makes the id of a change.

    Raises:
        NoMajority, ChangeRejected, ChangeUnknown: Not all are deleted; a repeat goes on.
    """
    # first, so that the parts of a view which comes meanwhile are not taken for old ones
    found = yield from registers.read(VIEW)
    if found.content is None:
        return 0
    some = yield from names(registers, PART)
    outdated = [name for name in some if is_outdated(name, found.version, found.content)]
    for name in outdated:
        yield from registers.delete(name, operation())
    return len(outdated)
