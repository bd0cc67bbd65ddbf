"""Orders from operators: signed control messages, verified before they are read, obeyed once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable

from taskmesh.codec.control import TERMINATE, Control, decode_control
from taskmesh.codec.signing import Signer
from taskmesh.errors import TrustError

log = logging.getLogger("taskmesh.worker")

SHUTDOWN = "shutdown"
KNOWN = frozenset({SHUTDOWN, TERMINATE})
#: An order that is older, or that comes from so far in the future, is not obeyed.
AGE_MS_MAX = 60_000
#: Unless it names the claims that it is about: it means nothing beyond them, and may be read late.
AGE_MS_MAX_OF = {TERMINATE: 30 * 86_400_000}
REMEMBERED = 1000


class Orders:
    """The orders that one worker has received."""

    def __init__(self, signer: Signer, worker: str) -> None:
        """Prepare.

        Args:
            signer: Of kind "control".
            worker: Name of the worker; an order for another one is not obeyed.
        """
        self._signer = signer
        self._worker = worker
        self._seen: OrderedDict[str, None] = OrderedDict()

    def accept(self, wires: Iterable[bytes], now_ms: int) -> list[Control]:
        """Return the orders that are to be obeyed now; what cannot be trusted is logged and dropped."""
        accepted = []
        for wire in wires:
            try:
                control = decode_control(wire, self._signer, AGE_MS_MAX, now_ms, AGE_MS_MAX_OF)
            except TrustError as error:
                log.error("an order was refused: %s: %s", type(error).__name__, error)  # noqa: TRY400 - its text says all
                continue
            if control.id in self._seen or control.target not in ("", self._worker):
                continue
            self._seen[control.id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            if control.action not in KNOWN:
                log.warning("this build does not know the order %r of %s", control.action, control.sender)
                continue
            accepted.append(control)
        return accepted
