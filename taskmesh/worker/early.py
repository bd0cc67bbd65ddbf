"""Signals that come before a supervisor can heed them: counted, and handed over to it.

What a worker imports takes a good part of a second, and a Ctrl-C of that time asks for the same as a later one.
So this is imported first, and imports next to nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)
#: Beside a request to stop: the end of a child, and that a task's time is over.
RELIED_ON = (*STOPS, signal.SIGCHLD, signal.SIGALRM)

_counted = 0


def record() -> None:
    """Count signals to stop from now on, those included that were held back since before this process began."""
    for signum in STOPS:
        signal.signal(signum, _count)
    let()


def taken() -> int:
    """Return how many were counted since the last call; to be called when a handler of one's own is in place."""
    global _counted
    count, _counted = _counted, 0
    return count


@contextmanager
def held() -> Iterator[None]:
    """Hold signals to stop back, here for the length of the block, and in processes that it starts until they ask.

    They ask with `record` or `let`, once they can heed them: a new Python would die of one by a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let() -> None:
    """Let signals come: those that `held` kept from this process, and those that whoever started it had blocked.

    A mask is inherited by every program, and so is that SIGCHLD is ignored: the ends of children would go unnoticed.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def let_again() -> None:
    """Let those come that every process of a worker relies on, whatever the app's import has blocked since."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RELIED_ON)


def _count(_signum: int, _frame: FrameType | None) -> None:
    global _counted  # noqa: PLW0603 - see `taken`
    _counted += 1
