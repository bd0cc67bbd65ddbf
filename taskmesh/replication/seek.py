"""Finding the view of a mesh of several nodes, and the time there, when only their addresses are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        stranger: A node that belongs to another mesh of this name than the view; empty if none is seen.
    """

    view: View | None
    by: str
    answered: tuple[str, ...]
    failures: tuple[str, ...]
    lasts: bool
    stranger: str = ""


def seek_view(prefix: bytes, nodes: Sequence[str]) -> GroupSteps[Sought]:
    """Ask nodes for their views; a majority that tells some is enough, and else all are waited for.

    Who is no member of what that majority tells is waited for, too: it may be of another mesh.

    Args:
        prefix: Of the mesh's keys.
        nodes: Names of nodes, as the driver knows them.
    """
    count = len(nodes)
    # in this order, on one connection each: who has told of its view has told of its mesh
    calls = [Call(None, prefix, (b"HGET", keys.meta(prefix), b"mesh_id"), node=node) for node in nodes]
    calls += [Call(None, prefix, (b"GET", keys.view(prefix)), node=node) for node in nodes]
    told = yield Round(calls, lambda so_far: _is_enough(nodes, so_far[count:]))
    meshes, replies = dict(zip(nodes, told, strict=False)), told[count:]
    views = _views(nodes, replies)
    by = _newest(views)
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
        stranger=_stranger(views, by, meshes),
    )


def _is_enough(nodes: Sequence[str], so_far: Sequence[Reply]) -> bool:
    views = _views(nodes, so_far)
    if len(views) <= len(nodes) // 2:
        return False
    members = _names(views[_newest(views)])
    return all(reply is not OUT or node in members for node, reply in zip(nodes, so_far, strict=True))


def _views(nodes: Sequence[str], replies: Sequence[Reply]) -> dict[str, View]:
    return {
        node: unpack(reply) for node, reply in zip(nodes, replies, strict=True) if isinstance(reply, bytes)
    }


def _newest(views: Mapping[str, View]) -> str:
    return max(views, key=lambda node: views[node].number, default="")


def _names(view: View) -> set[str]:
    return {name for member in view.members for name in (member.id, member.address)}


def _stranger(views: Mapping[str, View], by: str, meshes: Mapping[str, Reply]) -> str:
    """Return a node of another mesh; a member's server that holds one by itself now is the leader's to see to."""
    if not by or not isinstance(meshes[by], bytes):
        return ""
    members = _names(views[by])
    return next(
        (
            node
            for node, mesh_id in meshes.items()
            if isinstance(mesh_id, bytes) and mesh_id != meshes[by] and (node in views or node not in members)
        ),
        "",
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
