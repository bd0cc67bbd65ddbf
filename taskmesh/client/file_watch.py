"""Watching files: one thread for all watchers of a process looks once a second what changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Self

from taskmesh.client.bell import Bell
from taskmesh.client.timeout import read_timeout
from taskmesh.coordination.ending import Sweep
from taskmesh.coordination.file import DELETED, WRITTEN, Changes, File, FileEvent, list_files
from taskmesh.coordination.means import Means
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import TaskMeshError

if TYPE_CHECKING:
    from taskmesh.client.conversing import Conversing

log = logging.getLogger("taskmesh")

#: How often changes are looked for, and processes that vanished together with their files.
LOOK_S, SWEEP_S = 1.0, 5.0
#: Changes that a watcher has not taken yet; of more the oldest are forgotten, the last state of each file never is.
EVENTS_MAX = 10_000


class FileWatch:
    """What happens to some files: an iterator of `FileEvent`, also an async one. Close it, or use it in a `with` block.

    It tells what was seen once a second: of several changes in between the last. What it tells never goes back.
    """

    def __init__(self, path: str, leave: Callable[[FileWatch], None], *, initial: bool) -> None:
        """Begin; `Files.watch` does it.

        Args:
            path: A file; or a folder, which ends with a slash or is empty.
            leave: Called when it is closed.
            initial: Whether files that exist at the beginning are told of.
        """
        self.path = path
        self._leave = leave
        self._initial = initial
        self._known: dict[str, int] = {}
        self._events: deque[FileEvent] = deque()
        self._bells: set[Bell] = set()
        self._closed = False
        self.is_new = True

    def concerns(self, path: str) -> bool:
        """Tell whether a file is watched by it."""
        return path == self.path or (
            (not self.path or self.path.endswith("/")) and path.startswith(self.path)
        )

    # -- being told -------------------------------------------------------------------

    def see(self, path: str, file: File | None) -> None:
        """Note how a file is now; called by the one thread that looks."""
        version = 0 if file is None else file.version
        if self._known.get(path, 0) == version:
            return
        if version:
            self._known[path] = version
        else:
            del self._known[path]
        if self.is_new and not self._initial:
            return
        while len(self._events) >= EVENTS_MAX:
            self._events.popleft()
        self._events.append(FileEvent(WRITTEN if version else DELETED, path, file))
        self._ring()

    def _ring(self) -> None:
        for bell in list(self._bells):
            bell.ring()

    # -- taking -----------------------------------------------------------------------

    def get(self, timeout: float | None = None) -> FileEvent | None:
        """Return what happened next; None if nothing did within so many seconds, or it was closed.

        Args:
            timeout: How long to wait, in seconds; None for as long as it takes.

        Raises:
            UsageError: The timeout is no number.
        """
        seconds = read_timeout(timeout)
        until_s = None if seconds is None else time.monotonic() + seconds
        with self._bell(None) as bell:
            while not self._events and not self._closed:
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                bell.wait(left_s)
        return self._take()

    async def aget(self) -> FileEvent | None:
        """As `get`, in an event loop, for as long as it takes."""
        with self._bell(asyncio.get_running_loop()) as bell:
            while not self._events and not self._closed:
                await bell.wait_async(None)
        return self._take()

    def _take(self) -> FileEvent | None:
        try:
            return self._events.popleft()
        except IndexError:
            # another thread was faster, or it was closed
            return None

    @contextlib.contextmanager
    def _bell(self, loop: asyncio.AbstractEventLoop | None) -> Iterator[Bell]:
        bell = Bell(loop)
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def __iter__(self) -> Iterator[FileEvent]:
        """Return each thing that happens, until it is closed."""
        while True:
            event = self.get()
            if event is not None:
                yield event
            elif self._closed:
                return

    async def __aiter__(self) -> AsyncIterator[FileEvent]:
        """As `__iter__`, in an event loop."""
        while True:
            event = await self.aget()
            if event is not None:
                yield event
            elif self._closed:
                return

    def close(self) -> None:
        """Watch no more; whoever waits for something to happen is let go."""
        self._closed = True
        self._leave(self)
        self._ring()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Watchers:
    """All who watch files of one mesh in this process."""

    def __init__(
        self, means: Callable[[], Means], conversing: Conversing, own: Callable[[], set[bytes]]
    ) -> None:
        """Prepare.

        Args:
            means: Returns what conversations need.
            conversing: Has them.
            own: Returns the sessions of this process.
        """
        self._means = means
        self._conversing = conversing
        self._own = own
        self._watches: list[FileWatch] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._changes = Changes()
        self._sweep = Sweep()
        self._sweep_at_s = 0.0

    def watch(self, path: str, *, initial: bool) -> FileWatch:
        """Begin to watch a file or a folder."""
        watch = FileWatch(path, self._leave, initial=initial)
        with self._lock:
            self._watches.append(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="taskmesh-files", daemon=True)
                self._thread.start()
        self._wake.set()
        return watch

    def close(self) -> None:
        """Close all watches."""
        for watch in list(self._watches):
            watch.close()

    def _leave(self, watch: FileWatch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)
        self._wake.set()

    def _work(self) -> None:
        while True:
            with self._lock:
                watches = list(self._watches)
                if not watches:
                    self._thread = None
                    return
            try:
                self._conversing.run(self.look(self._means(), watches))
            except TaskMeshError as error:
                log.debug("cannot look for changes of files: %s", error)
            except Exception:
                # whatever it is: those who watch must not wait for ever
                log.exception("cannot look for changes of files")
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def look(self, means: Means, watches: list[FileWatch]) -> GroupSteps[None]:
        """Look what has changed, tell those who watch, and declare dead who has been silent.

        Raises:
            AgreementError: Later, perhaps; nothing is missed.
        """
        for watch in watches:
            if watch.is_new:
                yield from self._begin(means, watch)
        changed = yield from self._changes.look(means, {watch.path for watch in watches})
        for path, file in changed.items():
            for watch in watches:
                if watch.concerns(path):
                    watch.see(path, file)
        if means.now_s() >= self._sweep_at_s:
            self._sweep_at_s = means.now_s() + means.chance.uniform(SWEEP_S / 2, SWEEP_S)
            yield from self._sweep.run(means, self._own())

    def _begin(self, means: Means, watch: FileWatch) -> GroupSteps[None]:
        """Tell a new watch what there is; by this thread, so that it is told of everything in order."""
        for file in (yield from list_files(means, watch.path)):
            if watch.concerns(file.path):
                watch.see(file.path, file)
        watch.is_new = False
