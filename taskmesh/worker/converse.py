"""Which conversation a child has: that with the only node of its mesh, or that with several."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.nodes.link import ONE_NODE
from taskmesh.worker.conversation import Conversation
from taskmesh.worker.host import App
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.speaking import Held, Speaking, nothing


def converse(
    mesh: App,
    order: ChildOrder,
    build: bytes,
    *,
    holds: Callable[[], Held] = nothing,
    count: Callable[[bytes], None] = lambda _letters: None,
) -> Speaking:
    """Join the mesh, and return the conversation with it.

    Args:
        mesh: The app.
        order: What the child was told.
        build: What this build can run.
        holds: Returns what the child runs while it speaks with the mesh.
        count: Told the letters of outcomes that were committed, one for each; by any thread.

    Raises:
        NodeUnavailable: It cannot be joined now.
        ConfigError: It cannot be joined at all, or there is no strategy of the name that was ordered.
    """
    # the process that this one was forked from may have joined when there was but one node
    mesh.link.notice_several()
    if mesh.link.nodes == ONE_NODE:
        return Conversation(mesh, order, build, holds=holds, count=count)
    # it takes imports that others are spared
    from taskmesh.worker.mesh_conversation import MeshConversation

    return MeshConversation(mesh, order, build, holds=holds, count=count)
