"""The sync driver: runs protocols over `redis` connections, writing all calls before reading any reply.

Safe to share between threads: each conversation borrows a connection. A forked process makes its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused, Reply, Steps
from taskmesh.nodes.address import NodeAddress, connection_factory
from taskmesh.nodes.away import is_away
from taskmesh.replication.outgrown import resumed, tells_of_several, unheard

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

    from taskmesh.nodes.drivers import Driver

T = TypeVar("T")

#: Idle connections kept for the next conversation.
IDLE_MAX = 16
#: A caller whose time is over still gets one honest try.
ANSWER_S_MIN = 0.05
#: The share of the usual time for an answer from which on a caller's own is kept: it costs two system calls a reply.
NEARLY = 0.9
RUN_ID = b"run_id:"
#: Why a server of a mesh of several is not spoken with, and what to do about it.
ANEW = "the server was started anew and waits to be admitted"
WHO_ADMITS = (
    "a leader copies to it what it lacks, then admits it: start a worker or `taskmesh scheduler` if none runs"
)


class SyncDriver:
    """Runs protocols against one node."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        connect_timeout_s: float = 2.0,
        answer_timeout_s: float = 10.0,
        name: str = "taskmesh",
        before_connect: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            address: The node.
            connect_timeout_s: For making a connection.
            answer_timeout_s: For one reply; a call without one in that time is `NoAnswer`.
            name: Shown in the node's `CLIENT LIST`.
            before_connect: Called before each new connection (starts the embedded node).
        """
        import hiredis
        from redis import exceptions

        self.address = address
        self._make = connection_factory(
            address, connect_timeout_s=connect_timeout_s, answer_timeout_s=answer_timeout_s, name=name
        )
        self._before_connect = before_connect
        self._answer_timeout_s = answer_timeout_s
        self._servers: set[bytes] = set()
        self._on_other_server: Callable[[], None] | None = None
        self._only_server = b""
        self._heir: Driver | None = None
        self._find_heir: Callable[[float | None], Driver] | None = None
        self._idle: deque[AbstractConnection] = deque()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        # its stub asks for a tuple of exactly one
        self._pack: Callable[[tuple[bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]
        self._response_error = exceptions.ResponseError
        self._any_error = exceptions.RedisError
        self._failures = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError)

    def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result.

        Args:
            steps: The protocol.
            within_s: How long the caller has. When that is over no answer is waited for much longer, and what was
                asked has none, whatever comes later. None: as long as the driver waits for an answer. The protocol
                itself decides when to end.
        """
        deadline_s = None if within_s is None else time.monotonic() + within_s
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    time.sleep(request.seconds)
                    request = steps.send([])
                    continue
                # looked at after the request was made: it may be by the epoch of several
                if self._heir is not None:
                    return self._heir.run(resumed(steps, request), within_s=_until(deadline_s))
                replies = self._perform(request, deadline_s)
                if tells_of_several(replies):
                    replies, heir = self._inherit(replies, deadline_s)
                    if heir is not None:
                        return heir.run(resumed(steps, request, replies), within_s=_until(deadline_s))
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def when_of_several(self, find_heir: Callable[[float | None], Driver]) -> None:
        """Have the node be spoken with as one of several from when it says that it is.

        Args:
            find_heir: Returns what runs protocols on all of them, given how long that may take, in seconds; None for
                as long as it takes. By any thread; raises `NodeUnavailable` if it cannot be told yet.
        """
        self._find_heir = find_heir

    def succeeded_by(self, heir: Driver) -> None:
        """Have another driver run everything from now on, also what is under way."""
        self._heir = heir

    def _inherit(self, replies: list[Reply], deadline_s: float | None) -> tuple[list[Reply], Driver | None]:
        """Find who goes on; if that is not possible now, return replies by which the protocol tries again."""
        from taskmesh.errors import NodeUnavailable

        if self._find_heir is None:
            return replies, None
        try:
            return replies, self._find_heir(_until(deadline_s))
        except NodeUnavailable as error:
            return unheard(replies, str(error)), None

    def close(self) -> None:
        """Close idle connections; the driver can still be used, and connects anew."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.disconnect()

    def connect(self, within_s: float | None = None) -> AbstractConnection:
        """Return a new connected connection, for those who keep one (subscriptions).

        Args:
            within_s: How long the node may take to accept it and to be greeted; None for as long as the driver waits.
        """
        if self._before_connect is not None:
            self._before_connect()
        connection = self._make()
        if within_s is None or within_s >= self._answer_timeout_s:
            connection.connect()
            self._look_at_server(connection)
            return connection
        inside: Any = connection
        usual_s = connection.socket_timeout
        inside.socket_timeout = within_s
        inside.socket_connect_timeout = min(within_s, inside.socket_connect_timeout or within_s)
        connection.connect()
        self._look_at_server(connection)
        # It would go on with the short time: the library keeps in two more places what it connected with.
        inside.socket_timeout = usual_s
        inside._sock.settimeout(usual_s)  # noqa: SLF001 - there is no public way
        inside._parser.on_connect(connection)  # noqa: SLF001 - there is no public way
        return connection

    def watch_server(self, run_id: bytes, on_other: Callable[[], None]) -> None:
        """Tell when a connection leads to another process than those before: the server was started anew.

        Args:
            run_id: Which process answers now, as its `INFO` says.
            on_other: Called once for each process that was not known before.
        """
        self._servers = {run_id}
        self._on_other_server = on_other

    def serve_only(self, run_id: bytes) -> None:
        """Speak with one process only: a server that was started anew is another one, which may have forgotten.

        Connections to another one fail with a `ConnectionError`, as if nobody were there.

        Args:
            run_id: Which process is meant, as its `INFO` says.
        """
        self._only_server = run_id

    def _look_at_server(self, connection: AbstractConnection) -> None:
        on_other, only = self._on_other_server, self._only_server
        if on_other is None and not only:
            return
        connection.send_packed_command([self._pack((b"INFO", b"server"))], check_health=False)
        run_id = run_id_of(connection.read_response(disable_decoding=True))
        if only and run_id != only:
            connection.disconnect()
            raise ConnectionError(f"{ANEW}; {WHO_ADMITS}")
        if on_other is None:
            return
        with self._lock:
            is_new = run_id not in self._servers
            self._servers.add(run_id)
        if is_new:
            on_other()

    def _left_s(self, deadline_s: float) -> float | None:
        """Return how long the next answer may take; None for the usual time, which costs nothing to keep."""
        left_s = deadline_s - time.monotonic()
        return max(left_s, ANSWER_S_MIN) if left_s < NEARLY * self._answer_timeout_s else None

    def _borrow(self, left_s: float | None) -> AbstractConnection:
        if self._pid != os.getpid():
            # sockets of the parent: not ours to speak on, nor to shut down
            with self._lock:
                if self._pid != os.getpid():
                    self._idle = deque()
                    self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self.connect(left_s)

    def _perform(self, calls: list[Call], deadline_s: float | None) -> list[Reply]:
        from taskmesh.errors import TaskMeshError

        left_s = self._left_s(deadline_s) if deadline_s is not None else None
        try:
            connection = self._borrow(left_s)
        except (*self._failures, self._any_error, TaskMeshError) as error:
            return [Refused(f"{self.address}: {error}", lasts=not is_away(error))] * len(calls)
        pack = self._pack
        packed = []
        patience_s = 0.0
        for call in calls:
            script = call.script
            if script is None:
                packed.append(pack(call.args))
            else:
                packed.append(pack((b"EVALSHA", script.sha, b"1", call.prefix, *call.args)))
            patience_s = max(patience_s, call.patience_s)
        try:
            connection.send_packed_command(packed, check_health=False)
        except self._failures as error:
            connection.disconnect()
            # Those that are idle have probably lost their server, too. A protocol asks again after each failure,
            # so one dead connection after the other would cost seconds.
            self.close()
            return [NoAnswer(f"{self.address}: {error}")] * len(calls)
        replies: list[Reply] = []
        for _ in calls:
            try:
                if left_s is not None and deadline_s is not None:
                    left_s = self._left_s(deadline_s) or left_s
                    replies.append(
                        connection.read_response(disable_decoding=True, timeout=left_s + patience_s)
                    )
                elif patience_s:
                    replies.append(
                        connection.read_response(
                            disable_decoding=True, timeout=self._answer_timeout_s + patience_s
                        )
                    )
                else:
                    replies.append(connection.read_response(disable_decoding=True))
            except self._response_error as error:
                replies.append(_explain(error))
            except self._failures as error:
                connection.disconnect()
                self.close()
                lost = f"{self.address}: {error}"
                # what the node had no script for was certainly not executed
                replies = [Refused(lost) if _lacks_script(reply) else reply for reply in replies]
                return replies + [NoAnswer(lost)] * (len(calls) - len(replies))
            except BaseException:
                # interrupted between request and reply: the connection is out of step
                connection.disconnect()
                raise
        missing = [at for at, reply in enumerate(replies) if _lacks_script(reply)]
        if missing:
            self._load(connection, [calls[at] for at in missing])
        if len(self._idle) < IDLE_MAX and connection.is_connected:
            self._idle.append(connection)
        else:
            connection.disconnect()
        if missing:
            for at, reply in zip(
                missing, self._perform([calls[at] for at in missing], deadline_s), strict=True
            ):
                replies[at] = reply
        return replies

    def _load(self, connection: AbstractConnection, calls: list[Call]) -> None:
        try:
            for script in {call.script.sha: call.script for call in calls if call.script}.values():
                connection.send_packed_command(
                    [self._pack((b"SCRIPT", b"LOAD", script.source))], check_health=False
                )
                connection.read_response(disable_decoding=True)
        except self._failures:
            # the calls themselves are about to meet the same failure, and report it
            connection.disconnect()


def _until(deadline_s: float | None) -> float | None:
    """Return how many seconds are left until then; None if there is no end."""
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())


def run_id_of(info: object) -> bytes:
    """Return which process a server is, from its `INFO`; empty if it does not say."""
    lines = info.splitlines() if isinstance(info, bytes) else []
    return next((line[len(RUN_ID) :] for line in lines if line.startswith(RUN_ID)), b"")


def _lacks_script(reply: Reply) -> bool:
    return type(reply) is NodeError and reply.text == "NOSCRIPT"


def _explain(error: Exception) -> NodeError:
    from redis import exceptions

    if isinstance(error, exceptions.NoScriptError):
        return NodeError("NOSCRIPT")
    if isinstance(error, exceptions.OutOfMemoryError):
        return NodeError(f"OOM {error}")
    return NodeError(str(error).removeprefix("ERR "))
