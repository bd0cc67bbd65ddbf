"""What runs the messages of a concurrent child side by side, as the child sees it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from taskmesh.queue.claim import Claimed
from taskmesh.worker.called_off import Message

log = logging.getLogger("taskmesh.worker")

#: Told how a message ended: the message, the letter of its state, its outcome. Called by any thread.
OnEnd = Callable[[Claimed, bytes, bytes], None]


#: How long what no thread could be started for is kept before it is given back: this worker may claim it again at once.
NO_THREAD_PAUSE_S = 0.5


class Crew(Protocol):
    """Runs messages side by side."""

    def open(self) -> None:
        """Get ready."""

    def start(self, batch: Sequence[Claimed]) -> None:
        """Start messages now; there is room for them."""

    def reach(self, message: Message) -> None:
        """Have a run end that was called off."""

    def run_coroutine(self, coroutine: Any) -> Any:
        """Run a coroutine to its end, for the child's first thread."""

    def close(self) -> None:
        """Let go of threads and loops. Nothing that is to be committed runs any more."""


def end_process(error: BaseException) -> NoReturn:
    """End this process by an error of its own in a thread: what it held is lost to it, so its lease must end."""
    log.error("this child cannot go on; it ends, and its messages run again", exc_info=error)
    os._exit(1)
