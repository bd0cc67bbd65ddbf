"""What the template says first: that it has imported the app, or why it could not."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from taskmesh.worker.wire import Wire

#: How often to say that the wait goes on: an import may take minutes.
TURN_S = 1.0


def first_word(
    wire: Wire, wakeup: int, is_told_to_stop: Callable[[], bool], turned: Callable[[], None]
) -> dict[str, Any] | None:
    """Wait for it, and return it: empty when the template has died without a word, None when told to stop before.

    Args:
        wire: To the template.
        wakeup: Readable when there was a signal.
        is_told_to_stop: Tells whether it was one to stop.
        turned: Called now and then while this waits.
    """
    while not is_told_to_stop():
        turned()
        ready, _, _ = select.select([wire.fileno(), wakeup], [], [], TURN_S)
        if wakeup in ready and not is_told_to_stop():
            os.read(wakeup, 4096)
        if is_told_to_stop() or wire.fileno() not in ready:
            continue  # a signal to all that this worker is made of ends the template, too
        messages, _ = wire.receive()
        if messages:
            told: dict[str, Any] = messages[0]
            return told
        if wire.is_closed():
            return {}
    return None
