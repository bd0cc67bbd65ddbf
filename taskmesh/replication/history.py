"""The last changes of the view, as whoever made them noted them on every node: for people, nothing depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from taskmesh.core import keys
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import plain

#: How many are kept.
KEPT = 32


@dataclass(frozen=True, slots=True)
class Change:
    """A view that came to count.

    Attributes:
        number: Of the view.
        noticed_ms: When what led to it was noticed, by the nodes' clock.
        active_ms: When it counted.
        is_failover: Whether slots stood still until then, since a node was gone.
        why: For people.
    """

    number: int
    noticed_ms: int
    active_ms: int
    is_failover: bool
    why: str

    @property
    def took_s(self) -> float:
        """Seconds from its being noticed until the view counted."""
        return max(0, self.active_ms - self.noticed_ms) / 1000

    def pack(self) -> bytes:
        """Return it as it stands on nodes."""
        kind = "failover" if self.is_failover else "change"
        return f"{self.number}|{self.noticed_ms}|{self.active_ms}|{kind}|{self.why}".encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Change:
        """Return what `pack` made."""
        number, noticed_ms, active_ms, kind, why = packed.decode("utf-8", "replace").split("|", 4)
        return cls(int(number), int(noticed_ms), int(active_ms), kind == "failover", why)


def note_change(session: Session, change: Change) -> Steps[None]:
    """Note a change on every node that answers. To note it twice does no harm.

    Raises:
        NodeUnavailable: None does.
    """
    key = keys.history(session.prefix)
    yield from plain(session, b"LPUSH", key, change.pack())
    yield from plain(session, b"LTRIM", key, b"0", b"%d" % (KEPT - 1))


def read_changes(session: Session) -> Steps[list[Change]]:
    """Return the last changes, the newest first.

    Raises:
        NodeUnavailable: No node answers.
    """
    packed = yield from plain(session, b"LRANGE", keys.history(session.prefix), b"0", b"-1")
    found = {change.number: change for change in map(Change.unpack, packed)}
    return [found[number] for number in sorted(found, reverse=True)][:KEPT]
