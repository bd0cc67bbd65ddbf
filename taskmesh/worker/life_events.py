"""What is told of a worker's life. It is so rare that nobody asks first whether anybody listens."""

from __future__ import annotations

from taskmesh.codec.about import read_about
from taskmesh.core.event import WORKER_DOWN, WORKER_UP, Event
from taskmesh.nodes.event_sender import publish_events
from taskmesh.nodes.link import Link

#: Why a worker is down that left as it should.
STOPPED = "stopped"


def tell_up(link: Link, incarnation: bytes, worker: str, info: bytes) -> None:
    """Tell that a worker begins a life.

    Args:
        link: To the mesh.
        incarnation: This life.
        worker: Its name.
        info: What it tells of itself.
    """
    queues = ", ".join(str(queue) for queue in read_about(info).get("queues") or ())
    _tell(link, WORKER_UP, incarnation, worker, f"serves {queues}" if queues else "")


def tell_down(link: Link, incarnation: bytes, worker: str, detail: str) -> None:
    """Tell that a worker's life is over, and why."""
    _tell(link, WORKER_DOWN, incarnation, worker, detail)


def _tell(link: Link, kind: str, incarnation: bytes, worker: str, detail: str) -> None:
    now_ms = link.clock.now_ms()
    publish_events(link, [Event(kind, now_ms, incarnation.decode(), worker=worker, detail=detail)])
