"""Following what happens in a mesh: one connection to each node, and a flag there that says that somebody listens.

While that flag stands, scripts and children tell; it expires by itself when the listener is gone. What a node cannot
deliver, because this process reads too slowly or the connection is lost, is lost, and a `gap` says so.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from taskmesh.core import keys
from taskmesh.core.event import GAP, KINDS, WORKER_DOWN, Event, decode_events
from taskmesh.errors import NodeUnavailable, TaskMeshError, UsageError
from taskmesh.nodes.subscriptions import subscribe
from taskmesh.queue.setting import LISTENED_FIELD
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.subscription import Subscription
    from taskmesh.nodes.subscriptions import Subscriptions

#: How long the flag stands, and how often it is renewed.
LISTENED_MS = 10_000
RENEW_S = 3.0
#: How long one read of the connections takes at most, and one node to take the flag.
READ_S = 0.5
NODE_S = 1.0
#: How long to wait before a mesh that is away is tried again.
AGAIN_S = 0.5
#: Ends of workers that are remembered, since each node may tell of the same one.
DEATHS_MAX = 256


class Events:
    """What happens, as it happens: `for event in mesh.events()`, or `async for`.

    It ends by `close`, which any thread may call, or as a context manager. Nothing of before it was made is told. It is
    read by one thread or coroutine at a time. One that nobody holds any more ends by itself.
    """

    def __init__(
        self,
        link: Callable[[], Link],
        kinds: Collection[str] = (),
        *,
        task: str = "",
        queue: str = "",
    ) -> None:
        """Begin to listen; who tells hears of that within a second.

        Args:
            link: Returns the link to the mesh.
            kinds: Which of `taskmesh.core.event.KINDS`; none for all. A `gap` is always told.
            task: A pattern such as `"shop.*"` for names of tasks; what is about no task is left out then.
            queue: Name of a queue; what is about none, or another, is left out then.

        Raises:
            UsageError: There is no such kind.
            NodeUnavailable: No node can be reached.
        """
        wrong = sorted(set(kinds) - set(KINDS))
        if wrong:
            raise UsageError(f"no kind of event is called {wrong[0]!r}; there are {', '.join(KINDS)}")
        self._kinds = frozenset(kinds)
        self._task, self._queue = task, queue
        self._open_link = link
        self._waiting: deque[Event] = deque()
        self._deaths: deque[str] = deque(maxlen=DEATHS_MAX)
        self._closed = threading.Event()
        self._reading = threading.Lock()
        self._gaps = 0
        self._link = link().reach()
        self._subscription: Subscription | Subscriptions | None = self._subscribe()
        self._thread: ThreadPoolExecutor | None = None
        self.say_listened()
        # it must not keep alive what everybody else has forgotten
        threading.Thread(
            target=_renew, args=(weakref.ref(self), self._closed), name="taskmesh-listened", daemon=True
        ).start()

    # -- reading --------------------------------------------------------------------

    def read(self, timeout_s: float) -> Event | None:
        """Return the next event, or None when there was none in time or this is closed.

        Args:
            timeout_s: How long to wait for one; 0 for what has come already.
        """
        self._fill(timeout_s)
        return self._next()

    def _next(self) -> Event | None:
        return self._waiting.popleft() if self._waiting and not self._closed.is_set() else None

    def _fill(self, timeout_s: float) -> None:
        """Listen until an event waits to be taken, but no longer than a while."""
        until_s = time.monotonic() + timeout_s
        left_s = timeout_s
        while not self._closed.is_set() and not self._waiting:
            with self._reading:
                if not self._closed.is_set() and not self._waiting:
                    self._listen(max(0.0, min(READ_S, left_s)))
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return

    def __iter__(self) -> Iterator[Event]:
        """Return the events until this is closed."""
        while not self._closed.is_set():
            event = self.read(READ_S)
            if event is not None:
                yield event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event; the loop goes on meanwhile."""
        while not self._closed.is_set():
            event = self._next()
            if event is not None:
                return event
            # the thread takes no event: one that is cancelled meanwhile, as by `wait_for`, would lose it. It listens
            # in small steps, to end soon after; and is of its own, as the loop's are few and others wait for them
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="taskmesh-events")
            await asyncio.get_running_loop().run_in_executor(self._thread, self._fill, READ_S)
        raise StopAsyncIteration

    def close(self) -> None:
        """End it; waits for who is reading, half a second or, while nodes are away, a few."""
        self._closed.set()
        self._thread = None  # it ends when nobody holds it
        with self._reading:
            subscription, self._subscription = self._subscription, None
            if subscription is not None:
                subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.to_thread(self.close)

    # -- hearing --------------------------------------------------------------------

    def _subscribe(self) -> Subscription | Subscriptions:
        return subscribe(self._link, [keys.events(self._link.prefix)])

    def _listen(self, timeout_s: float) -> None:
        subscription = self._subscription
        try:
            if subscription is None:
                self._begin_again()
                return
            notice = subscription.read(timeout_s)
        except NodeUnavailable as error:
            self._subscription = None
            if not self._closed.is_set():
                self._gap(f"{error}; listening again")
                self._closed.wait(min(AGAIN_S, timeout_s))
            return
        if subscription.gaps != self._gaps:
            self._gaps = subscription.gaps
            self._gap("a node was away, or is there again: what happened there meanwhile is not told")
        if notice:
            self._waiting.extend(event for event in decode_events(notice) if self._is_wanted(event))

    def _begin_again(self) -> None:
        try:
            self._link = self._open_link().reach(READ_S)
            made = self._subscribe()
        except TaskMeshError:
            # said already: a gap lasts until there is something to hear
            self._closed.wait(AGAIN_S)
            return
        self._gaps = made.gaps
        self._subscription = made
        self.say_listened()

    def _gap(self, detail: str) -> None:
        self._waiting.append(Event(GAP, self._link.clock.now_ms(), detail=detail))

    def _is_wanted(self, event: Event) -> bool:
        if event.kind == GAP:
            return True
        if event.kind == WORKER_DOWN:
            if event.id in self._deaths:
                return False
            self._deaths.append(event.id)
        if self._kinds and event.kind not in self._kinds:
            return False
        if self._task and not fnmatchcase(event.task, self._task):
            return False
        return not self._queue or event.queue == self._queue

    # -- being known to listen --------------------------------------------------------

    def say_listened(self) -> None:
        """Have each node know, for some seconds, that somebody listens; one that is away hears it next time."""
        link = self._link
        prefix = link.prefix
        for node in link.nodes:
            here = link.at(node)
            until_ms = b"%d" % (link.clock.now_ms() + LISTENED_MS)
            try:
                here.run(
                    plain(here.session, b"SET", keys.listened(prefix), b"1", b"PX", b"%d" % LISTENED_MS),
                    within_s=NODE_S,
                )
                here.run(
                    plain(here.session, b"HSET", keys.settings(prefix), LISTENED_FIELD.encode(), until_ms),
                    within_s=NODE_S,
                )
            except TaskMeshError:
                continue


def _renew(listening: weakref.ref[Events], closed: threading.Event) -> None:
    """Have it be known that somebody listens, until that is closed or forgotten."""
    while not closed.wait(RENEW_S):
        events = listening()
        if events is None:
            return
        events.say_listened()
        del events
