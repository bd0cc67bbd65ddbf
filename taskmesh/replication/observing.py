"""Who of a mesh's nodes is gone: one that was silent for some seconds, to more than one observer.

An observer goes by its own monotonic clock. What it notes for others, on the nodes that it reaches, is who was silent
when. A leader acts only when another observer says the same, or where there is none that has looked since: who died
together with a node says nothing of it any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from taskmesh.replication.reach import Reach

#: A node that was silent for so long is gone, if others say so as well.
SILENT_S = 2.0
#: For how long what an observer noted counts.
NOTED_S = 6.0
#: How often one observer looks, and how many may look so often.
LOOK_S = 0.5
OBSERVERS = 8
#: An observer that has noted something lately is waited for so long, once it should have seen that a node is silent.
WORD_S = 1.5
#: What is not known of a silent node by then is not waited for: others say that it is there.
JUDGED_S = 6.0


def look_again_s(observers: int, *, is_unsure: bool) -> float:
    """Return after how long an observer looks again.

    Args:
        observers: How many there are: all together look about as often, however many that is.
        is_unsure: A node did not answer, and is not silent for long yet. That is to be known soon, by however few.
    """
    return LOOK_S if is_unsure else LOOK_S * max(1.0, observers / OBSERVERS)


class Observer:
    """What one process hears of the nodes.

    Attributes:
        name: By which others know it.
        reach: Whether enough nodes answer for messages to be taken.
    """

    def __init__(self, now_s: float, name: str) -> None:
        """Begin; a node that is never heard is silent from now on.

        Args:
            now_s: This process's monotonic clock, as for all else here.
            name: Its own.
        """
        self.name = name
        self.reach = Reach()
        self._begun_s = now_s
        self._heard_s: dict[str, float] = {}
        self._looked_s = now_s

    def looked(self, answered: Collection[str], asked_s: float, now_s: float) -> None:
        """Note who answered.

        Args:
            answered: The nodes.
            asked_s: When they were asked.
            now_s: Now. If that is long after the last look, or after they were asked, this process stood still itself,
                and has seen nothing.
        """
        if asked_s - self._looked_s > SILENT_S:
            self._begun_s = asked_s
            self._heard_s = {}
        if now_s - asked_s > SILENT_S:
            # nobody is waited for as long: also who has just answered would be silent since then
            self._begun_s = now_s
            self._heard_s = {}
        self._looked_s = now_s
        for node in answered:
            self._heard_s[node] = asked_s

    def silent_s(self, node: str, now_s: float) -> float:
        """Return for how long a node was silent."""
        return now_s - max(self._heard_s.get(node, self._begun_s), self._begun_s)

    def silent(self, nodes: Iterable[str], now_s: float) -> frozenset[str]:
        """Return the nodes that were silent for long."""
        return frozenset(node for node in nodes if self.silent_s(node, now_s) >= SILENT_S)


def pack_note(now_ms: int, silent: Collection[str]) -> bytes:
    """Return what an observer writes down for others."""
    return b"%d %b" % (now_ms, ",".join(sorted(silent)).encode())


def read_note(note: bytes) -> tuple[int, frozenset[str]]:
    """Return when an observer wrote, and who was silent."""
    moment, _, silent = note.decode().partition(" ")
    return int(moment), frozenset(filter(None, silent.split(",")))


def confirmed(
    silent_s: Mapping[str, float], notes: Mapping[str, bytes], own: str, now_ms: int
) -> frozenset[str]:
    """Return which of the nodes that are silent to us count as gone.

    Args:
        silent_s: Those, and for how long each was silent.
        notes: Of all observers, by their names; ours may be among them.
        own: Our name.
        now_ms: The nodes' clock, by which notes are dated.
    """
    others = [
        told
        for who, note in notes.items()
        if who != own and now_ms - (told := read_note(note))[0] <= NOTED_S * 1000
    ]
    return frozenset(node for node, seconds in silent_s.items() if _is_gone(node, seconds, others, now_ms))


def _is_gone(node: str, silent_s: float, others: Collection[tuple[int, frozenset[str]]], now_ms: int) -> bool:
    if any(node in silent for _, silent in others):
        return True
    if silent_s < SILENT_S + WORD_S:
        return not others
    # what was noted before it could be seen does not say that it is there
    seen_ms = now_ms - int((silent_s - SILENT_S) * 1000)
    return all(moment_ms < seen_ms for moment_ms, _ in others)


def outdated(notes: Mapping[str, bytes], now_ms: int) -> list[str]:
    """Return the observers that have written nothing for long."""
    return [who for who, note in notes.items() if now_ms - read_note(note)[0] > 10 * NOTED_S * 1000]
