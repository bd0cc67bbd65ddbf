"""The async driver: runs protocols in event loops, any number of conversations at a time.

All conversations of one loop share one connection, see `async_line`. Only calls on which the node itself takes
its time (`Call.patience_s`) borrow a connection of their own.

Loops are held weakly. What belongs to one is closed when it is gone, when the driver is next used in a new
loop, at `close` or at exit, whichever comes first.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import hiredis
from redis import exceptions

from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused, Reply, Steps
from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes.async_connection import AsyncConnection
from taskmesh.nodes.async_line import Line
from taskmesh.nodes.async_thread import in_thread_once
from taskmesh.nodes.replies import packed
from taskmesh.nodes.sync_driver import ANSWER_S_MIN, NEARLY
from taskmesh.replication.outgrown import resumed, tells_of_several, unheard

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

    from taskmesh.nodes.drivers import LoopDriver
    from taskmesh.nodes.sync_driver import SyncDriver

T = TypeVar("T")

#: Connections kept for the next call with patience.
IDLE_MAX = 16
PACK = hiredis.pack_command
#: What making a connection fails with.
CONNECT_FAILURES = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError, TaskMeshError)


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class AsyncDriver:
    """Runs protocols against one node, in any number of event loops."""

    def __init__(self, driver: SyncDriver, *, answer_timeout_s: float) -> None:
        """Prepare; nothing is connected yet.

        Args:
            driver: Makes the connections, as for itself.
            answer_timeout_s: For one reply; a call without one in that time is `NoAnswer`.
        """
        self.address = driver.address
        self.answer_timeout_s = answer_timeout_s
        self._driver = driver
        self._heir: LoopDriver | None = None
        self._find_heir: Callable[[], LoopDriver] | None = None
        self._homes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Home] = weakref.WeakKeyDictionary()

    async def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result.

        Args:
            steps: The protocol.
            within_s: How long the caller has, as for `SyncDriver.run`.
        """
        home = self._home()
        now_s = asyncio.get_running_loop().time
        deadline_s = None if within_s is None else now_s() + within_s
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    await asyncio.sleep(request.seconds)
                    request = steps.send([])
                    continue
                replies: list[Reply] = []
                # looked at after the request was made: it may be by the epoch of several
                if self._heir is None:
                    replies = await home.perform(request, deadline_s)
                    if tells_of_several(replies):
                        replies = await self._inherit(replies)
                if self._heir is not None and (not replies or tells_of_several(replies)):
                    left_s = None if deadline_s is None else max(0.0, deadline_s - now_s())
                    return await self._heir.run(resumed(steps, request, replies), within_s=left_s)
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def when_of_several(self, find_heir: Callable[[], LoopDriver]) -> None:
        """Have the node be spoken with as one of several from when it says that it is: as `SyncDriver`'s.

        Args:
            find_heir: Called in a thread.
        """
        self._find_heir = find_heir

    def succeeded_by(self, heir: LoopDriver) -> None:
        """Have another driver run everything from now on, also what is under way."""
        self._heir = heir

    async def _inherit(self, replies: list[Reply]) -> list[Reply]:
        """Find who goes on; if that is not possible now, return replies by which the protocol tries again."""
        if self._find_heir is not None and self._heir is None:
            try:
                self._heir = await in_thread_once(self._find_heir)
            except NodeUnavailable as error:
                return unheard(replies, str(error))
        return replies

    async def perform(self, calls: list[Call], deadline_s: float | None = None) -> list[Reply]:
        """Make the calls, and return a reply for each.

        Args:
            calls: At least one.
            deadline_s: Until when the caller waits, by the running loop's clock; None for the usual time.
        """
        return await self._home().perform(calls, deadline_s)

    async def connect(
        self, on_reply: Callable[[Reply], None], on_lost: Callable[[str], None]
    ) -> AsyncConnection:
        """Return a new connection, for those who keep one (subscriptions).

        Raises:
            Exception: One of `CONNECT_FAILURES`.
        """
        return await self._home().connect(on_reply, on_lost)

    def close(self) -> None:
        """Close all connections, from any thread. The driver can still be used, and connects anew."""
        for ref in self._homes.keyrefs():
            loop = ref()
            home = self._homes.get(loop) if loop is not None else None
            if loop is None or home is None:
                continue
            if loop.is_closed():
                home.drop()
            elif loop.is_running() and not _runs_here(loop):
                loop.call_soon_threadsafe(home.close)
            else:
                home.close()

    def _home(self) -> _Home:
        loop = asyncio.get_running_loop()
        home = self._homes.get(loop)
        if home is None:
            for ref in self._homes.keyrefs():
                other = ref()
                left = self._homes.pop(other, None) if other is not None and other.is_closed() else None
                if left is not None:
                    left.drop()
            home = self._homes[loop] = _Home(self._driver, self.answer_timeout_s)
        return home


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _Home:
    """What one event loop has of the driver. Holds no reference to the loop."""

    def __init__(self, driver: SyncDriver, answer_timeout_s: float) -> None:
        self._driver = driver
        self._node = str(driver.address)
        self._answer_timeout_s = answer_timeout_s
        self._shared: Line | None = None
        self._idle: list[Line] = []
        self._connections: weakref.WeakSet[AsyncConnection] = weakref.WeakSet()

    async def perform(self, calls: list[Call], deadline_s: float | None = None) -> list[Reply]:
        """Make the calls, and return a reply for each.

        Args:
            calls: At least one.
            deadline_s: Until when the caller waits, by the loop's clock; None for the usual time.
        """
        if deadline_s is not None:
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s < NEARLY * self._answer_timeout_s:
                return await self._perform_within(calls, max(left_s, ANSWER_S_MIN))
        return await self._perform(calls)

    async def _perform_within(self, calls: list[Call], left_s: float) -> list[Reply]:
        """Make the calls, and wait no longer; others who wait on the same connection are left alone."""
        late = f"{self._node}: no answer within {left_s:.2f} s"
        until_s = asyncio.get_running_loop().time() + left_s
        try:
            async with asyncio.timeout_at(until_s):
                if self._shared is None or not self._shared.is_open:
                    await self._share()
        except TimeoutError:
            return [Refused(late)] * len(calls)
        except CONNECT_FAILURES as error:
            return [Refused(f"{self._node}: {error}")] * len(calls)
        try:
            async with asyncio.timeout_at(until_s):
                return await self._perform(calls)
        except TimeoutError:
            return [NoAnswer(late)] * len(calls)

    async def _perform(self, calls: list[Call]) -> list[Reply]:
        patience_s = calls[0].patience_s if len(calls) == 1 else max(call.patience_s for call in calls)
        try:
            if patience_s:
                return await self._perform_alone(calls, self._answer_timeout_s + patience_s)
            line = self._shared
            if line is not None and line.is_open:
                replies = await _converse(line, calls, self._answer_timeout_s)
                if type(replies[0]) is not Refused:
                    return replies
                # the node has closed the connection while nothing was asked: that costs nobody an answer
            return await _converse(await self._share(), calls, self._answer_timeout_s)
        except CONNECT_FAILURES as error:
            return [Refused(f"{self._node}: {error}")] * len(calls)

    async def _perform_alone(self, calls: list[Call], timeout_s: float) -> list[Reply]:
        line = await self._borrow()
        try:
            replies = await _converse(line, calls, timeout_s)
        except BaseException:
            # cancelled, and the node goes on taking its time: nobody may have to wait behind that
            line.close()
            raise
        if line.is_open and len(self._idle) < IDLE_MAX:
            self._idle.append(line)
        else:
            line.close()
        return replies

    async def connect(
        self, on_reply: Callable[[Reply], None], on_lost: Callable[[str], None]
    ) -> AsyncConnection:
        """Return a new connection."""
        return await self._open(
            lambda connection: self._noted(AsyncConnection(connection, on_reply, on_lost))
        )

    def close(self) -> None:
        """Close all connections; whoever waits for an answer has none. In the loop's thread."""
        for connection in list(self._connections):
            connection.lose("closed")

    def drop(self) -> None:
        """Close all connections of a loop that is closed: there is nobody to tell."""
        for connection in list(self._connections):
            connection.close()

    async def _share(self) -> Line:
        line = self._shared
        while line is None or not line.is_open:
            await in_thread_once(self._connect_shared, keep=self._keep_shared, orphaned=_disconnect)
            line = self._shared
        return line

    def _connect_shared(self) -> AbstractConnection:
        return self._driver.connect()

    def _keep_shared(self, connection: AbstractConnection) -> None:
        self._shared = self._line(connection)

    async def _borrow(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                return line
        return await self._open(self._line)

    async def _open(self, make: Callable[[AbstractConnection], C]) -> C:
        """Connect, and return what `make` makes of the connection."""
        made: list[C] = []
        wanted = True

        def keep(connection: AbstractConnection) -> None:
            if wanted:
                made.append(make(connection))
            else:
                connection.disconnect()

        try:
            # a lambda is equal to no other: this connection is shared with nobody
            await in_thread_once(lambda: self._driver.connect(), keep=keep, orphaned=_disconnect)  # noqa: PLW0108
        except asyncio.CancelledError:
            wanted = False
            for one in made:
                one.close()
            raise
        return made[0]

    def _line(self, connection: AbstractConnection) -> Line:
        line = Line(connection, self._node)
        self._noted(line.connection)
        return line

    def _noted(self, connection: AsyncConnection) -> AsyncConnection:
        self._connections.add(connection)
        return connection


async def _converse(line: Line, calls: list[Call], timeout_s: float) -> list[Reply]:
    """Ask, after loading the scripts which the node lacks."""
    commands = [packed(call, PACK) for call in calls]
    replies = await line.ask(commands, timeout_s)
    missing = [
        at for at, reply in enumerate(replies) if type(reply) is NodeError and reply.text == "NOSCRIPT"
    ]
    if missing:
        scripts = {script.sha: script.source for at in missing if (script := calls[at].script) is not None}
        loads = [packed(Call(None, b"", (b"SCRIPT", b"LOAD", source)), PACK) for source in scripts.values()]
        again = await line.ask([*loads, *(commands[at] for at in missing)], timeout_s)
        for at, reply in zip(missing, again[len(loads) :], strict=True):
            replies[at] = reply
    return replies


def _disconnect(connection: AbstractConnection) -> None:
    connection.disconnect()
