"""An order to end the run of a message, as it stands in a control message."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from taskmesh.codec.control import TERMINATE_SIGNALS, Control
from taskmesh.core.claim_names import claim_name

log = logging.getLogger("taskmesh.worker")


@dataclass(frozen=True, slots=True)
class Termination:
    """End one run.

    Attributes:
        task_id: Of the message.
        token: Of the claim under which it runs; of any other claim it is left alone.
        signal: By which its process is told.
        sender: Who wants that.
        node: Where it was claimed, once that is known.
    """

    task_id: str
    token: str
    signal: signal.Signals
    sender: str
    node: str = ""

    @property
    def claim(self) -> int:
        """The claim, as the page names it."""
        return claim_name(self.node, self.sequence)

    @property
    def holder(self) -> bytes:
        """The child: incarnation and number."""
        return self.token[20:42].encode()

    @property
    def sequence(self) -> int:
        """Of the claim."""
        return int(self.token[42:], 16)


def terminations(order: Control) -> Iterator[Termination]:
    """Yield what an order asks for; what cannot be read in it is logged and left out."""
    name = str(order.arguments.get("signal", "TERM"))
    if name not in TERMINATE_SIGNALS:
        log.error("an order of %s to terminate by %r is not obeyed", order.sender, name)
        return
    for run in order.arguments.get("runs") or ():
        try:
            task_id, token = (str(word) for word in run)
            int(token, 16)
        except (TypeError, ValueError):
            log.error("an order of %s to terminate %r is not obeyed", order.sender, run)  # noqa: TRY400 - said plainly
            continue
        if len(token) == 50:
            yield Termination(task_id, token, signal.Signals[f"SIG{name}"], order.sender)
