"""Wake children that are blocked on their lists."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core import keys
from taskmesh.core.steps import Call, Session, Steps


def wake(session: Session, holders: Sequence[bytes]) -> Steps[None]:
    """Wake idle children, whatever they wait for."""
    if holders:
        yield [
            Call(None, session.prefix, (b"RPUSH", keys.wake(session.prefix, holder), b"1"))
            for holder in holders
        ]
