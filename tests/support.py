"""What several suites share: waiting for a condition with a deadline."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

#: A machine with far too much to do takes as long as that for what else is there in a moment. No test is quicker for
#: less of it: give more where something takes long, and less only where the time itself is what is tested.
PATIENCE_S = 90.0
#: Between two tries of a wait pass so many times what one takes, and no more than that.
TRIES, REST_S = 3, 1.0
#: What is waited for since long is looked for that rarely.
LATE_S = 0.1


def wait_until(
    predicate: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "", *, every_s: float = 0.01
) -> T:
    """Poll `predicate` until it is truthy and return its value; fail after `timeout_s`.

    Between two tries pass `every_s`, or some times what one takes, which is much where it is a process, or asks all of
    them, or a part of what was waited already: what is waited for needs the cores, too.
    """
    first_s = began_s = time.monotonic()
    deadline = first_s + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        now_s = time.monotonic()
        # the last look begins after that: this process may have stood still since the one before
        if began_s > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or predicate}")
        time.sleep(max(every_s, min(TRIES * (now_s - began_s), REST_S), min((now_s - first_s) / 20, LATE_S)))
        began_s = time.monotonic()


async def await_until(predicate: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "") -> T:
    """As `wait_until`, in an event loop."""
    began_s = time.monotonic()
    deadline = began_s + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if began_s > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or predicate}")
        await asyncio.sleep(0.005)
        began_s = time.monotonic()


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Have no thread of this process be started, as at a limit: each asks for more memory than there is."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def said_here(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the log records of this thread: those that other tests have left behind say something, too."""
    return [record for record in caplog.records if record.thread == threading.get_ident()]


def unmount(folder: Path) -> None:
    """Unmount a file system as soon as the last process that was stopped has left it."""

    def done() -> bool:
        return (
            subprocess.run(["umount", folder], capture_output=True, check=False, timeout=90).returncode == 0
        )

    wait_until(done, what=f"{folder} can be unmounted")
