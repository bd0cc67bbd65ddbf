"""Tasks that fail, wait and give up on order: what the tests of retries have workers run, on a private node."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from taskmesh import Ignore, Reject, Retry, Snooze, TaskMesh, current_task
from taskmesh.errors import MaxRetriesExceededError

mesh = TaskMesh("retry-tests", embedded="private")


class Busy(Exception):
    """Something that passes."""


class VeryBusy(Busy):
    """Something that passes, and is not worth a retry."""


def note(path: str, word: object) -> int:
    """Write a line at the end of a file, and return how many there are."""
    with Path(path).open("a+") as file:
        file.write(f"{word}\n")
        file.seek(0)
        return len(file.readlines())


@mesh.task(autoretry_for=(Busy, OSError), dont_autoretry_for=(VeryBusy,), default_retry_delay=0.01)
def busy(path: str, times: int, kind: str = "Busy") -> int:
    """Fail so often, and return which run it was."""
    run = note(path, current_task().attempt)
    if run <= times:
        raise {"Busy": Busy, "VeryBusy": VeryBusy, "TimeoutError": TimeoutError, "KeyError": KeyError}[kind](
            f"run {run}"
        )
    return run


@mesh.task(autoretry_for=(Busy,), default_retry_delay=0.01, max_retries=None)
def tireless(path: str, times: int) -> int:
    """Fail so often, with no limit."""
    run = note(path, current_task().attempt)
    if run <= times:
        raise Busy(f"run {run}")
    return current_task().attempt


@mesh.task(autoretry_for=(Busy,), retry_backoff=0.1, retry_jitter=False, max_retries=4)
def backs_off(path: str) -> None:
    """Note when it runs, and fail."""
    note(path, time.time())
    raise Busy("always")


@mesh.task(autoretry_for=(Busy,), default_retry_delay=0.5, max_retries=None, retry_deadline=1.25)
def pressed(path: str) -> None:
    """Fail until the deadline."""
    note(path, time.time())
    raise Busy("always")


@mesh.task(autoretry_for=(Busy,), default_retry_delay=3600)
def slow_to_retry(path: str) -> None:
    """Fail, and wait for an hour."""
    note(path, "run")
    raise Busy("later")


@mesh.task(autoretry_for=(Exception,), default_retry_delay=0.01)
def verdict(path: str, what: str) -> str:
    """Raise what says how the message goes on, the first time."""
    run = note(path, f"{current_task().attempt} {what}")
    if run > 1:
        return f"run {run}, attempt {current_task().attempt}"
    if what == "ignore":
        raise Ignore
    if what == "reject":
        raise Reject("not today", requeue=False)
    if what == "requeue":
        raise Reject("not now", requeue=True)
    if what == "snooze":
        raise Snooze(0.05)
    if what == "put off":
        current_task().snooze(0.05)
    if what == "retry":
        raise Retry
    raise AssertionError(what)


@mesh.task(autoretry_for=(Exception,), default_retry_delay=0.01)
def not_picklable(path: str) -> Any:
    """Return what cannot be sent."""
    note(path, "run")
    return (each for each in ())


@mesh.task(bind=True)
def moves(self: Any) -> tuple[str, str]:
    """Go on elsewhere, and tell where that was."""
    if self.request.retries < 2:
        self.retry(queue="elsewhere" if self.request.retries == 0 else None, priority=9, countdown=0)
    return current_task().queue, current_task().worker


@mesh.task(bind=True, max_retries=2)
def bound(self: Any, path: str, x: int, *, give: str = "") -> Any:
    """Ask to be tried again with other arguments, until that is refused."""
    request = self.request
    if not request.called_directly:
        note(path, f"{request.retries} {request.args} {request.kwargs} {request.id == current_task().id}")
    if give == "error":
        self.retry(exc=Busy("given"), countdown=0)
    if give == "cleanup":
        try:
            self.retry(countdown=0)
        except MaxRetriesExceededError:
            return "cleaned up"
    raise self.retry((path, x + 1), countdown=0.01)


class Endless(Snooze):
    """It waits for a time that nobody can count, and checks nothing."""

    def __init__(self) -> None:
        Exception.__init__(self, "endless")
        self.seconds = float("nan")


@mesh.task
def waits_for_nothing() -> None:
    """Ask for a wait that no message can have."""
    raise Endless


@mesh.task
def unbound(path: str) -> int:
    """Ask to be tried again, without being bound, and return how often that happened."""
    if note(path, "run") < 3:
        current_task().retry(countdown=0)
    return current_task().retries


@mesh.task(bind=True)
def holds(self: Any, path: str) -> int:
    """Ask for one retry when it is let to, and return which attempt it is."""
    note(path, self.request.retries)
    while not Path(f"{path}-let").exists():
        time.sleep(0.002)
    if not self.request.retries:
        self.retry(countdown=0)
    return self.request.retries


@mesh.task(autoretry_for=(Busy,), default_retry_delay=0.01, ignore_result=True)
def crashes_later(path: str) -> None:
    """Fail once, and then end the process whenever it runs."""
    import os
    import signal

    if note(path, current_task().crashes) == 1:
        raise Busy("once")
    os.kill(os.getpid(), signal.SIGKILL)


@mesh.task(bind=True, autoretry_for=(Busy,), default_retry_delay=0.01)
async def in_a_loop(self: Any, path: str, x: int) -> tuple[int, int]:
    """Fail once, ask for another run with other arguments once, wait once; return the argument and the retries."""
    await asyncio.sleep(0)
    run = note(f"{path}-{x}", self.request.retries)
    if x >= 1000:
        return x, self.request.retries
    if run == 1:
        raise Busy
    if run == 2:
        current_task().snooze(0.01)
    raise self.retry(args=(path, x + 1000), countdown=0)
