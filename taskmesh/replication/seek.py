"""Finding the view of a mesh of several nodes, and the time there, when only their addresses are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskmesh.core import keys
from taskmesh.core.steps import OUT, Call, GroupSteps, NoAnswer, NodeError, Refused, Reply, Round
from taskmesh.replication.packed_view import unpack
from taskmesh.replication.view import View

_FAILED = (Refused, NoAnswer, NodeError)


@dataclass(frozen=True, slots=True)
class Sought:
    """What nodes told of their mesh.

    Attributes:
        view: The newest of their views; None if none has one.
        by: The node that told it.
        answered: The nodes that answered.
        failures: Of those that did not: why.
        lasts: Whether asking again is of no use: all refuse, until somebody changes something.
    """

    view: View | None
    by: str
    answered: tuple[str, ...]
    failures: tuple[str, ...]
    lasts: bool


def seek_view(prefix: bytes, nodes: Sequence[str]) -> GroupSteps[Sought]:
    """Ask nodes for their views; a majority that tells some is enough, and else all are waited for.

    Args:
        prefix: Of the mesh's keys.
        nodes: Names of nodes, as the driver knows them.
    """
    enough = len(nodes) // 2 + 1
    replies = yield Round(
        [Call(None, prefix, (b"GET", keys.view(prefix)), node=node) for node in nodes],
        lambda so_far: sum(isinstance(reply, bytes) for reply in so_far) >= enough,
    )
    views = {
        node: unpack(reply) for node, reply in zip(nodes, replies, strict=True) if isinstance(reply, bytes)
    }
    by = max(views, key=lambda node: views[node].number, default="")
    return Sought(
        views.get(by),
        by,
        answered=tuple(
            node
            for node, reply in zip(nodes, replies, strict=True)
            if reply is not OUT and not isinstance(reply, _FAILED)
        ),
        failures=tuple(_why(reply) for reply in replies if isinstance(reply, _FAILED)),
        lasts=all(isinstance(reply, Refused) and reply.lasts for reply in replies),
    )


def ask_time(prefix: bytes, nodes: Sequence[str]) -> GroupSteps[float | str]:
    """Return the clock of whoever answers first, in seconds since 1970; or why nobody did."""
    replies = yield Round(
        [Call(None, prefix, (b"TIME",), node=node) for node in nodes],
        lambda so_far: any(_tells_time(reply) for reply in so_far),
    )
    for reply in replies:
        if _tells_time(reply):
            return int(reply[0]) + int(reply[1]) / 1e6
    return "; ".join(_why(reply) for reply in replies)


def _tells_time(reply: Reply) -> bool:
    return isinstance(reply, list)


def _why(reply: Reply) -> str:
    return reply.text if isinstance(reply, NodeError) else getattr(reply, "reason", "no answer")
