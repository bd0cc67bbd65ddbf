"""The registers of a mesh of many nodes, made together with its first view.

All acceptors must answer when registers are made, as all nodes must when the first view is. Were they made later, by
the first who stands for leader, a node that is lost until then would leave the mesh without a leader, and nobody could
take the place of that node until it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from taskmesh.errors import TaskMeshError
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.agreement import Agreement
from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh")


def make_registers(link: Link, acceptors: Sequence[str]) -> None:
    """Make the registers; if that is not possible, say so: whoever stands for leader tries again.

    Args:
        link: To the mesh, which was joined.
        acceptors: URLs of the servers that are to hold them; none: nodes of the mesh.
    """
    # One of its own: another thread may hold the lock of the shared one, and wait for the link to be open.
    agreement = Agreement(link, tuple(map(NodeAddress, acceptors)))
    try:
        _ = agreement.registers
    except TaskMeshError as error:
        log.warning(
            "mesh %r has nodes and no registers yet: %s. Until they are made nobody can lead it, and the loss of a "
            "node lasts until that is back",
            link.mesh,
            error,
        )
    finally:
        agreement.close()
