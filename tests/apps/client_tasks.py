"""What the tests of callers have workers run: two workers' children, on a private node."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from taskmesh import TaskMesh, current_task

mesh = TaskMesh("client-tests", embedded="private")


class Refused(Exception):
    """An error with facts of its own."""

    def __init__(self, text: str, *, code: int) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> Any:
        return _refused, (str(self), self.code)


def _refused(text: str, code: int) -> Refused:
    return Refused(text, code=code)


class Scale:
    """Something with a method to be called."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, value: int) -> int:
        """Return the product."""
        return self.factor * value


@mesh.task
def add(x: int, y: int = 0) -> int:
    """Return the sum."""
    return x + y


@mesh.task
async def add_async(x: int, y: int) -> int:
    """Return the sum, in an event loop."""
    await asyncio.sleep(0)
    return x + y


@mesh.task
def refuse(text: str, code: int) -> None:
    """Raise an error with facts."""
    raise Refused(text, code=code)


@mesh.task
def hold(folder: str, name: str, value: Any = None) -> Any:
    """Say that it has begun, and wait for the file `let-<name>`."""
    (Path(folder) / f"began-{name}").touch()
    while not (Path(folder) / f"let-{name}").exists():
        time.sleep(0.002)
    return value


@mesh.task
def who(headers: bool = False) -> Any:
    """Return what the task knows of itself."""
    task = current_task()
    return (task.id, task.name, task.headers) if headers else task.id


@mesh.task
async def who_async() -> str:
    """Return the task's id, as a coroutine knows it."""
    await asyncio.sleep(0)
    return current_task().id


@mesh.task(ignore_result=True)
def forgettable(x: int) -> int:
    """Return what nobody keeps."""
    return x


@mesh.task
def not_picklable() -> Any:
    """Return what cannot be sent."""
    return threading.Lock()


@mesh.task
def leave(code: int) -> None:
    """Raise what is no `Exception`."""
    raise SystemExit(code)


@mesh.task
def call_task(task: Any, *args: Any) -> Any:
    """Send a task that came as an argument, and return its id; call it, too."""
    return task.name, task(*args)


def square(x: int) -> int:
    """Return the square: a plain function."""
    return x * x


def fail_at(limit: int, x: int) -> int:
    """Fail from a limit on."""
    if x >= limit:
        raise ValueError(x)
    return x


@mesh.task
def echo(value: Any) -> Any:
    """Return the argument."""
    return value


@mesh.task
def write_down(path: str, word: str) -> None:
    """Add a word to a file."""
    with Path(path).open("a") as file:
        file.write(f"{word}\n")


@mesh.task
def now() -> float:
    """Return when it runs, Unix time."""
    return time.time()


@mesh.task(autoretry_for=(ConnectionError,), default_retry_delay=0.01)
def flaky_once(key: str) -> int:
    """Fail on each first attempt; return the attempt."""
    attempt = current_task().attempt
    if attempt == 1:
        raise ConnectionError(key)
    return attempt


@mesh.task(rate_limit="20/s", queue="limited")
def start_limited(number: int) -> tuple[float, str, int]:
    """Return when it started, who ran it, and in which attempt."""
    task = current_task()
    return time.time(), task.worker, task.attempt


@mesh.task(rate_limit="1/h")
def start_unless_lifted(number: int) -> int:
    """Return the argument; of a limit that tests set."""
    return number


@mesh.task
def start_free(number: int) -> tuple[float, str]:
    """Return when it started, and who ran it."""
    return time.time(), current_task().worker


@mesh.task(rate_limit="1/h")
def start_seldom(number: int) -> int:
    """Return the argument."""
    return number
