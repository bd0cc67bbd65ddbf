"""Code that blocks, in a simulated process: a thread that runs only while the simulation stands still for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from taskmesh.core.steps import Steps
from taskmesh.errors import TaskMeshError
from taskmesh.testing.simulated_driver import SimulatedProcess

T = TypeVar("T")


class Killed(BaseException):
    """The process of this code is gone: it ends where it stands."""


class Blocking:
    """One thread of a simulated process.

    Whichever of the two runs, the simulation or this thread, the other waits for it. So a run depends on its seed only.

    Attributes:
        process: Where it runs: it waits while that is paused.
        is_over: Whether it has ended.
    """

    def __init__(self, process: SimulatedProcess, work: Callable[[], None]) -> None:
        """Prepare.

        Args:
            process: Where it runs.
            work: What it does; what it raises ends the simulation.
        """
        self.process = process
        self.is_over = False
        self._work = work
        self._killed = False
        self._error: BaseException | None = None
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._body, name=process.name, daemon=True)

    def start(self) -> None:
        """Begin, as soon as the simulation goes on."""
        self._thread.start()
        self.process.after(0.0, self._go_on)

    def kill(self) -> None:
        """Crash the process, and with it this thread; what it has sent is still under way."""
        self.process.crash()
        if not self.is_over:
            self._killed = True
            self._go_on()
            self._thread.join()

    # -- called by the work ---------------------------------------------------------

    def run(self, steps: Steps[T]) -> T:
        """Run a protocol, and wait for its end.

        Raises:
            TaskMeshError: The protocol's own.
        """
        ended: list[tuple[T | None, TaskMeshError | None]] = []

        def all_of_it() -> Steps[None]:
            try:
                ended.append(((yield from steps), None))
            except TaskMeshError as error:
                ended.append((None, error))

        self.process.after(0.0, lambda: self.process.start(all_of_it(), lambda _: self._go_on()))
        self._wait()
        value, error = ended[0]
        if error is not None:
            raise error
        return value  # type: ignore[return-value] # None where T is

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.process.after(seconds, self._go_on)
        self._wait()

    # -- taking turns ---------------------------------------------------------------

    def _body(self) -> None:
        self._mine.acquire()
        try:
            if not self._killed:
                self._work()
        except Killed:
            pass  # as was wanted
        except BaseException as error:  # noqa: BLE001 - raised where the simulation runs
            self._error = error
        finally:
            self.is_over = True
            self._theirs.release()

    def _go_on(self) -> None:
        """Let the thread run until it waits again."""
        self._mine.release()
        self._theirs.acquire()
        if self._error is not None:
            raise self._error

    def _wait(self) -> None:
        self._theirs.release()
        self._mine.acquire()
        if self._killed:
            raise Killed
