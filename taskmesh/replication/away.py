"""Which nodes a look goes without: what operators see is better told without one node than not at all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Reply, Round, all_answered
from taskmesh.replication.join import PASSING
from taskmesh.replication.routed import reason_of


class Away:
    """The nodes that did not answer while somebody looked.

    Who was silent once is not asked again by the same look: a server that stands still is waited for once.

    Attributes:
        why: Id of each node -> why it did not answer.
    """

    def __init__(self, silent: Mapping[str, str] | None = None) -> None:
        """Begin a look.

        Args:
            silent: Who is not asked, since it was silent a moment ago: its id -> why; None for nobody.
        """
        self.why: dict[str, str] = dict(silent or {})

    def ask(self, calls: Sequence[Call]) -> Generator[Round, Sequence[Reply], list[Reply]]:
        """Make those of the calls that do not go to a node that is away; return a reply for each of all."""
        asked = [call for call in calls if call.node not in self.why]
        replies = iter((yield Round(asked, all_answered)) if asked else ())
        return [
            # nothing that a search for a newer view would wait for once more
            NoAnswer(self.why[call.node]) if call.node in self.why else next(replies)
            for call in calls
        ]

    def note(self, nodes: Sequence[str], replies: Sequence[Reply]) -> None:
        """Note which of the nodes that were asked did not answer, where another did."""
        silent = {
            node: reason_of(reply)
            for node, reply in zip(nodes, replies, strict=True)
            if is_missing(reply) and isinstance(reply, (Refused, NoAnswer, NodeError))
        }
        if any(node not in silent for node in nodes):
            self.why = silent | self.why

    @staticmethod
    def filled(replies: Sequence[Reply], blank: Callable[[int], Reply] | None) -> Sequence[Reply]:
        """Return replies with blanks in place of those that are missing; as they are where none came.

        Args:
            replies: To one call, of each node that it went to.
            blank: See `Routed.blank`.
        """
        missing = [is_missing(reply) for reply in replies]
        if blank is None or all(missing):
            return replies
        return [blank(at) if missing[at] else reply for at, reply in enumerate(replies)]


def is_missing(reply: Reply) -> bool:
    """Tell whether a node gave no answer, or says that it will recover."""
    if isinstance(reply, NodeError):
        return reply.text.startswith(PASSING)
    return isinstance(reply, (Refused, NoAnswer))
