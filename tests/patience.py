"""Time for what must succeed: that a busy machine stands still for seconds makes no node one that does not answer.

Whoever is killed is known to be away at once, however long others may take; only who is stopped, or cut off, is waited
for all that time.
"""

from __future__ import annotations

from functools import partial

import pytest

from taskmesh.nodes.group_driver import GroupDriver

LONG_S = 60.0


def wait_long_for_acceptors(patch: pytest.MonkeyPatch) -> None:
    """Have this process wait long for what acceptors answer."""
    patient = partial(GroupDriver, answer_timeout_s=LONG_S, connect_timeout_s=LONG_S)
    patch.setattr("taskmesh.nodes.agreement.GroupDriver", patient)


def wait_long_for_nodes(patch: pytest.MonkeyPatch) -> None:
    """Have this process wait for one of several nodes as long as for the only one, and its leader, too."""
    patch.setattr("taskmesh.nodes.link.MANY_ANSWER_S", LONG_S)
    patch.setattr("taskmesh.nodes.look.LOOK_S", LONG_S)
    patch.setattr("taskmesh.nodes.node_watch.ANSWER_S", LONG_S)
    patch.setattr("taskmesh.nodes.node_watch.CONNECT_S", LONG_S)


def wait_long_for_listeners(patch: pytest.MonkeyPatch) -> None:
    """Have whoever listens to several nodes wait until all are heard, and not only a moment for the others."""
    patch.setattr("taskmesh.nodes.subscriptions.GRACE_S", LONG_S)
    patch.setattr("taskmesh.nodes.async_subscriptions.GRACE_S", LONG_S)
