"""How the children of a worker died, for nodes that come to hold only later what those children held."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from taskmesh.core.claim_names import node_of, sequence_of
from taskmesh.queue.claim import ELSEWHERE
from taskmesh.worker.page import MANY, Note
from taskmesh.worker.sentence import Sentence

#: Children of whom it is remembered. What comes to another node after so many further deaths is put back uncharged.
REMEMBERED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Death:
    """How a child died.

    Attributes:
        note: What it noted last; None charges nobody.
        how: Exit code or signal, for the dead letter's story.
        singly: Whether its messages are to be claimed one at a time from now on.
        last: What it noted last, whoever is charged; None if nobody knows.
        sentence: What it was ended for.
    """

    note: Note | None = None
    how: str = ""
    singly: bool = False
    last: Note | None = None
    sentence: Sentence | None = None

    def at(self, node: str, home: str = "") -> Death:
        """Return it as a node can judge it: by its own claims, or else by the message, which may have moved there.

        Args:
            node: The node.
            home: The node of claims whose names say none.
        """
        return replace(
            self,
            note=_note_at(node, self.note, home),
            # of claims on other nodes nobody knows whether they were made before or after
            last=_note_at(node, self.last, home),
            sentence=_sentence_at(node, self.sentence, home),
        )


class Deaths:
    """Those of one worker. A node may come to hold what a child held after it was asked to let go of that."""

    def __init__(self, home: Callable[[], str] = str) -> None:
        """Prepare; nobody has died yet.

        Args:
            home: Returns the node of claims whose names say none.
        """
        self._home = home
        self._known: OrderedDict[bytes, Death] = OrderedDict()

    def remember(self, holder: bytes, death: Death) -> None:
        """Remember how a child died."""
        self._known[holder] = death
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def at(self, node: str, holder: bytes) -> Death:
        """Return how a child died, as a node can judge it; of one that is not known, a death that charges nobody."""
        return self._known.get(holder, Death()).at(node, self._home())


def _note_at(node: str, note: Note | None, home: str) -> Note | None:
    """Return a note as it names claims of a node."""
    if note is None or note.position == MANY:
        return note
    sequence = sequence_of(note.sequence)
    is_own = (node_of(note.sequence) or home) == node
    return replace(note, sequence=sequence if is_own else ELSEWHERE + sequence)


def _sentence_at(node: str, sentence: Sentence | None, home: str) -> Sentence | None:
    """Return a sentence as it names claims of a node."""
    if sentence is None:
        return None
    own = sequence_of(sentence.sequence)
    is_own = (node_of(sentence.sequence) or home) == node
    return replace(sentence, sequence=own if is_own else ELSEWHERE + own)
