"""What commands ask that only look: where some of several nodes do not answer, the others do, and these are named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taskmesh.app import TaskMesh
from taskmesh.cli.node_remedy import pointing
from taskmesh.cli.output import say
from taskmesh.nodes.look import Look

#: Of the exit codes of such commands: what 0 means.
ONE_IS_ENOUGH = "0 shown; of several nodes one is enough, and those that do not answer are named on stderr"


@contextmanager
def looking(mesh: TaskMesh) -> Iterator[Look]:
    """Look at a mesh; say at the end, on stderr, which of its nodes did not answer.

    Raises:
        Failure: None of several did.
    """
    look = Look(mesh.link)
    with pointing(mesh):
        yield look
    tell_of_silence(mesh, look)


def tell_of_silence(mesh: TaskMesh, look: Look) -> None:
    """Say on stderr which nodes did not answer, and what that means for what is shown."""
    view = mesh.link.view
    for node, why in look.away.items():
        member = view.member(node) if view is not None else None
        address = member.address if member is not None else ""
        say(
            f"node {node} ({address}) does not answer, so what only it can tell is not shown; `taskmesh doctor` says "
            f"what to do ({why.removeprefix(f'{address}: ')})"
        )


def silence(look: Look) -> dict[str, list[str]]:
    """Return, for programs, the ids of the nodes that a look went without; none where all answered."""
    return {"nodes_away": sorted(look.away)}
