"""What a leader does on the data node carries its token; a node that knows a newer one refuses it."""

from __future__ import annotations

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import LeadershipLost, NodeFault
from taskmesh.replication.ask import ask

INSTALL = load_script("taskmesh.coordination", "install", fenced=True)
STALE = "STALETOKEN"


def install(session: Session, token: int, *, patience_s: float = 2.0) -> Steps[None]:
    """Have the node obey nobody with an older token from now on.

    Raises:
        LeadershipLost: It knows a newer one.
        NodeUnavailable: It does not answer.
    """
    try:
        yield from ask(session, INSTALL, b"%d" % token, patience_s=patience_s)
    except NodeFault as error:
        if STALE not in str(error):
            raise
        raise stale(token) from error


def stale(token: int) -> LeadershipLost:
    """Return what a leader is told whose token is an old one."""
    return LeadershipLost(f"the node obeys a newer leader than the one with token {token}")
