"""Load: a thread that sends, in every way there is, and enters into the ledger what it was told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taskmesh import AsyncResult
from taskmesh.core.state import FINAL, LETTER
from taskmesh.errors import BatchError, ResultExpired, SendRejected, SendUnknown, TaskNotFound
from tests.apps import ledger_tasks
from tests.faults.ledger import Ledger
from tests.faults.readers import outcome_of
from tests.faults.scale import scaled
from tests.faults.scene import LOOK_S, SETTLED_S, Scene
from tests.support import wait_until

#: What was refused is sent again in so many of a hundred cases, and else left as it is.
AGAIN_PERCENT = 70
FAILING_PERCENT = 5
#: How long the sender rests after each send: most tests wait for time-outs, and else every core is busy meanwhile.
REST_S = scaled(0.02, 0.0)


class Book:
    """What the tasks have written down so far; read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._ends = 0

    def ends(self) -> int:
        """Return how many runs have come to their end."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._at += len(whole)
            self._ends += sum(line.startswith(b"end ") for line in whole.splitlines())
        return self._ends


class Load:
    """Sends until it is told to stop; a context manager that waits for the thread to end.

    Attributes:
        ledger: What was promised, and what a test enters as explained.
        handles: The handle on each message, as the sender got it.
        refusals: How often a send was not accepted.
        presses: Whether more is sent however much waits already.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        seed: int = 0,
        seconds: float = 0.002,
        ahead: int = 150,
        bulk: int = 20,
        name: str = "load",
        functions: Sequence[Callable[..., Any]] = (ledger_tasks.entry,),
        pause_s: float = REST_S,
    ) -> None:
        """Prepare.

        Args:
            scene: Whose mesh, and who is asked about the node.
            seed: What is sent how, and what is sent again.
            seconds: How long a task takes.
            ahead: So many messages may wait at most; then nothing is sent.
            bulk: How many are sent together.
            name: Of the folder for the book.
            functions: What is sent, each as often as the others.
            pause_s: How long it rests after each send.
        """
        self.scene = scene
        self.ledger = Ledger()
        self.handles: dict[str, AsyncResult[Any]] = {}
        self.refusals = 0
        self.folder = scene.folder / name
        self.folder.mkdir()
        self.book = Book(self.folder / ledger_tasks.BOOK)
        self._rng = random.Random(seed)
        self._seconds = seconds
        self._ahead = ahead
        self._bulk = bulk
        self._pause_s = pause_s
        self._tasks = [scene.task(function) for function in functions]
        self.presses = False
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"sends-{name}")
        self._before = self._counted()
        _ = scene.readers  # one is a process, whose start nobody has to wait for now

    # -- sending ------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(300)
        assert not self._thread.is_alive(), "the sender hangs"
        if error is None and self._failure is not None:
            raise self._failure

    def accepted(self, more: int) -> None:
        """Wait until so many more than now were accepted."""
        count = len(self.ledger.accepted) + more
        self._wait(lambda: len(self.ledger.accepted) >= count, f"{count} are accepted")

    def told(self) -> None:
        """Wait until the sender has entered what it was being told when this was called."""
        self.accepted(self._bulk + 1)

    def ran(self, more: int) -> None:
        """Wait until so many more than now have been run."""
        book = Book(self.book.path)
        count = book.ends() + more
        self._wait(lambda: book.ends() >= count, f"{count} were run")

    def rest(self, seconds: float) -> None:
        """Let that much time go by, with all that goes on in it."""
        ends_s = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= ends_s, f"{seconds} s go by")

    def all_ran(self) -> None:
        """Wait until all that was accepted has been run."""
        book = Book(self.book.path)
        self._wait(lambda: book.ends() >= len(self.ledger.accepted), "all is run")

    def refused(self, more: int = 1) -> None:
        """Wait until so many more sends than now were not accepted; meanwhile, however much waits, more is sent."""
        count = self.refusals + more
        self.presses = True
        self._wait(lambda: self.refusals >= count, f"{count} sends are not accepted")
        self.presses = False

    def _wait(self, predicate: Callable[[], bool], what: str) -> None:
        def happened() -> bool:
            if self._failure is not None:
                raise self._failure
            return predicate()

        wait_until(happened, what=what)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._rng.choice((self._one, self._one, self._one, self._many, self._batch))()
                self._stopped.wait(self._pause_s)
                # whoever waits meanwhile, until a view has changed for one, knows better when it is too long
                wait_until(
                    lambda: self._stopped.is_set() or self._has_room(), 600, "somebody runs what was sent"
                )
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self._failure = error

    def _has_room(self) -> bool:
        return (
            self.presses or len(self.ledger.accepted) - len(self.ledger.lost) - self.book.ends() < self._ahead
        )

    def _again(self) -> bool:
        return self._rng.randrange(100) < AGAIN_PERCENT and not self._stopped.is_set()

    def _one(self) -> None:
        fail = self._rng.randrange(100) < FAILING_PERCENT
        self.send(fail=fail)

    def send(self, *, fail: bool = False, task_id: str | None = None) -> str:
        """Send one message, perhaps again and again, and return its id."""
        kind, ledger, task = "fail" if fail else "ok", self.ledger, self._rng.choice(self._tasks)
        while True:
            try:
                handle = task.apply_async((str(self.folder), self._seconds), {"fail": fail}, task_id=task_id)
            except SendUnknown as error:
                task_id = error.task_id
                ledger.unknown[task_id] = kind
                self.refusals += 1
            except SendRejected as error:
                task_id = error.task_id
                self.refusals += 1
                if task_id not in ledger.unknown:
                    ledger.rejected.add(task_id)
            else:
                self._accept([handle], kind)
                return handle.id
            if not self._again():
                return task_id

    def send_as(self, kind: str, function: Callable[..., Any], *args: Any, **options: Any) -> str:
        """Send a message of another kind, for a task that keeps the same book, and return its id."""
        handle = self.scene.task(function).apply_async((str(self.folder), *args), **options)
        self._accept([handle], kind)
        return handle.id

    def _many(self) -> None:
        calls = [(str(self.folder), self._seconds)] * self._rng.randrange(2, self._bulk + 1)
        try:
            self._accept(list(self._rng.choice(self._tasks).starmap(calls)))
        except BatchError as error:
            self._repeat(error, list(error.results))

    def _batch(self) -> None:
        handles = []
        try:
            with self.scene.mesh.batch():
                for _ in range(self._rng.randrange(2, self._bulk + 1)):
                    task = self._rng.choice(self._tasks)
                    handles.append(task.delay(str(self.folder), self._seconds))
            self._accept(handles)
        except BatchError as error:
            self._repeat(error, handles)

    def _repeat(self, error: BatchError, handles: Sequence[AsyncResult[Any]]) -> None:
        """Send again what was not accepted, or leave it; either way enter what is known of it."""
        while True:
            self.refusals += 1
            left = error.rejected.keys() | set(error.unknown)
            self._accept([handle for handle in handles if handle.id not in left])
            handles = [handle for handle in handles if handle.id in left]
            self.ledger.unknown |= dict.fromkeys(error.unknown, "ok")
            self.ledger.rejected |= error.rejected.keys()
            assert not error.rejected.keys() & self.ledger.unknown.keys(), "what was unknown is rejected"
            if not self._again():
                return
            try:
                error.batch.send()
            except BatchError as further:
                error = further
            else:
                self._accept(handles)
                return

    def _accept(self, handles: Sequence[AsyncResult[Any]], kind: str = "ok") -> None:
        for handle in handles:
            self.ledger.unknown.pop(handle.id, None)
            self.ledger.rejected.discard(handle.id)
            self.handles[handle.id] = handle
            self.ledger.accepted[handle.id] = kind

    # -- the reckoning ------------------------------------------------------------

    def settle(self, timeout_s: float = SETTLED_S) -> None:
        """Wait until all that was accepted is final for the one who sent it, and note what he was told."""
        deadline = time.monotonic() + timeout_s
        seen = {}
        for task_id in self.ledger.sent():
            if task_id in self.ledger.lost:
                continue
            handle = self.handles.get(task_id) or self.scene.mesh.result(task_id)
            got = handle.get(max(LOOK_S, deadline - time.monotonic()), propagate=False)
            if not isinstance(got, (TaskNotFound, ResultExpired)):
                seen[task_id] = outcome_of(handle.state, got)
        self.ledger.note("sender", seen)

    def look(self) -> None:
        """Have both readers look at everything once, as soon as the node answers."""
        wait_until(self.scene.answers, what="the node answers")
        ids = [*self.ledger.sent(), *self.ledger.rejected]
        for name, reader in self.scene.readers.items():
            self.ledger.note(name, reader.read(ids))

    def balance(self, timeout_s: float = SETTLED_S, *, counted: bool = True, left: bool = True) -> None:
        """Demand, when all is over, that the ledger balances.

        Args:
            timeout_s: For all messages to end.
            counted: The node's own count of ends is to agree; it is lost with its data.
            left: Nothing is to stand in an index any more.
        """
        assert not self._thread.is_alive(), "it is still sending"
        self.settle(timeout_s)
        self.look()
        if left:
            # a claim is let go of with the child's next turn, a parked message with the next look at those
            wait_until(
                lambda: not self.scene.left(), what=f"nothing is left in the indexes: {self.scene.left()}"
            )
        self.look()
        self.ledger.read_book(self.book.path)
        deadly = {task_id for task_id, kind in self.ledger.sent().items() if kind in ("poison", "overdue")}
        self.ledger.gone |= {run.pid for run in self.ledger.begins if run.task_id in deadly}
        self.ledger.suspected |= {worker.name for worker in self.scene.workers if worker.was_suspected()}
        if counted:
            self.ledger.counted = self._counted() - self._before
        self.ledger.check()

    def _counted(self) -> int:
        finals = {LETTER[state].decode() for state in FINAL}
        stats = self.scene.ask("HGETALL", f"{self.scene.prefix}stats")
        return sum(int(count) for name, count in stats.items() if name.decode().rpartition(":")[2] in finals)
