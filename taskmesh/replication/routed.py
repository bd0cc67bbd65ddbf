"""What a call to the mesh comes to on its nodes: a call for each node that is meant, and one answer made of theirs.

One answer stands for all only where all nodes answered. Else the worst of what they said is the answer, by what may
have been done; a protocol that can tell its messages apart is given `Parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.steps import NoAnswer, NodeError, Refused, Reply, Session
from taskmesh.errors import InvariantBroken
from taskmesh.replication.join import PASSING
from taskmesh.replication.view import OBEYS, WAITS, View

Args: TypeAlias = tuple[bytes, ...]
Merge: TypeAlias = Callable[[Sequence[Reply]], Reply]

#: What a driver or a node gives in place of an answer.
FAILURES = (Refused, NoAnswer, NodeError)


class Pinned(InvariantBroken):
    """A call that is about one node's own things did not say which node it means."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Calls to nodes that together are one call to the mesh.

    Attributes:
        calls: For each its node and its arguments; none if there is nothing to ask.
        merge: Makes one reply of theirs, in the order of the calls. In place of some there may be `Refused`,
            `NoAnswer` or `NodeError`.
        blank: Returns, by the place of a call, what a node would answer that has nothing of what is asked for; a look
            that goes on without silent nodes takes it for theirs. None where all must answer.
    """

    calls: list[tuple[str, Args]]
    merge: Merge
    blank: Callable[[int], Reply] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What became of the parts of one call, where nodes fared differently.

    Attributes:
        parts: Places of the messages in the call, and the reply to these.
    """

    parts: list[tuple[list[int], Reply]]


def is_replicated(session: Session) -> bool:
    """Tell whether the mesh has several nodes, or had: whether calls are routed."""
    return session.epoch[:1] in (OBEYS, WAITS)


def primary_of(view: View, task_id: bytes) -> str:
    """Return the node that leads the slot of an id."""
    return view.primary(slot_of(routing_of(task_id.decode(errors="backslashreplace")), view.slots))


def by_primary(view: View, ids: Iterable[bytes]) -> dict[str, list[int]]:
    """Return the places of ids by the node that leads the slot of each."""
    places: dict[str, list[int]] = {}
    for place, task_id in enumerate(ids):
        places.setdefault(primary_of(view, task_id), []).append(place)
    return places


def to_one(node: str, args: Args) -> Routed:
    """Return a call that goes to one node as it is."""
    return Routed([(node, args)], _itself)


def to_all(view: View, args: Args, merge: Merge, blank: Reply = None) -> Routed:
    """Return a call that goes to all nodes as it is; `merge` is given answers only, at least one.

    Args:
        view: Of the mesh.
        args: Of the call.
        merge: Makes one answer of theirs.
        blank: What a node answers that has nothing; None where all must answer, see `Routed.blank`.
    """
    return Routed(
        [(node, args) for node in view.nodes], whole(merge), None if blank is None else lambda _: blank
    )


def whole(merge: Merge) -> Merge:
    """Have answers merged if all nodes have answered; else the worst of what they said is the reply."""

    def merged(replies: Sequence[Reply]) -> Reply:
        failure = worst(replies)
        return merge(replies) if failure is None else failure

    return merged


def any_of(merge: Merge) -> Merge:
    """Have the answers merged of those that have answered, be it one; what is asked stands on every node."""

    def merged(replies: Sequence[Reply]) -> Reply:
        answers = [reply for reply in replies if not isinstance(reply, FAILURES)]
        return merge(answers) if answers else worst(replies)

    return merged


def worst(replies: Sequence[Reply]) -> Refused | NoAnswer | NodeError | None:
    """Return what stands for all replies if some are failures; None if none is.

    `Refused` and errors say that nothing was done. Where others have answered that is not so of the whole: then it is
    as if no answer had come, and whoever can repeats.
    """
    failures = [reply for reply in replies if isinstance(reply, FAILURES)]
    if not failures:
        return None
    errors = [reply for reply in failures if isinstance(reply, NodeError)]
    for error in errors:
        if not error.text.startswith(PASSING):
            return error
    if len(failures) < len(replies) or any(isinstance(reply, NoAnswer) for reply in failures):
        silent = [reply for reply in failures if isinstance(reply, NoAnswer)]
        return NoAnswer(reason_of((silent or failures)[0]))
    if errors:
        return errors[0]
    return Refused(
        reason_of(failures[0]), lasts=all(isinstance(reply, Refused) and reply.lasts for reply in failures)
    )


def reason_of(failure: Refused | NoAnswer | NodeError) -> str:
    """Return why there is no answer, for people."""
    return failure.text if isinstance(failure, NodeError) else failure.reason


def _itself(replies: Sequence[Any]) -> Any:
    return replies[0]
