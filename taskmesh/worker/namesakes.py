"""Other live workers of one name: orders to one reach all, and looks cannot tell them apart."""

from __future__ import annotations

from typing import Any

from taskmesh.codec.about import read_about
from taskmesh.core.steps import Session, Steps
from taskmesh.queue.manage import status


def namesakes(session: Session, name: str, incarnation: bytes) -> Steps[list[str]]:
    """Return where other workers run that have a name and count as live.

    Args:
        session: Where to look.
        name: The name.
        incarnation: Of the worker that asks.
    """
    counted = yield from status(session, with_queues=False)
    others = [
        read_about(info)
        for other, state, _, info, _ in counted.workers
        if state == "live" and other != incarnation.decode()
    ]
    return [_place(about) for about in others if about.get("name") == name]


def _place(about: dict[str, Any]) -> str:
    """Return host and process that a worker tells of itself, for people."""
    return f"{about.get('host', '?')}, pid {about.get('pid', '?')}"
