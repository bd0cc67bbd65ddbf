"""Ctrl-C and SIGTERM end the demo in order: what was started is stopped, then it exits.

A signal that arrives while a server or a worker is being started or stopped waits until this is done: an
exception at that moment could lose the only reference to a process. Elsewhere it interrupts at once. An exception that
is raised in a callback of the collector, between two steps of the program, is thrown away by Python: so it is raised
again each second until the interrupted block is left. Further signals change nothing, since the way out is under way
already; and everything that the demo starts ends by itself when the demo is killed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 1.0


class Stopped(KeyboardInterrupt):
    """The demo was asked to end.

    Of the kind that everybody on the way up lets pass: raised while a result is being unpickled, any other kind would
    be taken for something that the result did.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What shells report for a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class Stopping:
    """While entered, turns the first signal into one `Stopped`, raised in the main thread where it may be."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._raised = False
        self._interruptible = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # `nohup taskmesh demo` keeps its meaning
                self._before[signum] = signal.signal(signum, self._on_signal)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal raise at once within this block, and one that has come already raise now."""
        self._interruptible = True
        try:
            self.check()
            yield
        finally:
            self._interruptible = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> None:
        """Raise for a signal that has come, once.

        Raises:
            Stopped: One has.
        """
        if self._first is not None and not self._raised:
            self._raised = True
            raise Stopped(self._first)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._first is None:
            self._first = signum
        if self._interruptible and not self._raised:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
            self.check()

    def _on_alarm(self, _signum: int, _frame: FrameType | None) -> None:
        if self._interruptible and self._first is not None:
            raise Stopped(self._first)
