"""One connection to one of several nodes, on which answers that nobody waits for any more are skipped.

A round goes on when enough nodes have answered. What the others say comes later, on the same connection: it belongs to
a round that is over, and is counted off before the answers to the next.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hiredis

from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Refused, Reply
from taskmesh.nodes.connector import Attempt, Connector
from taskmesh.nodes.replies import explain, packed

if TYPE_CHECKING:
    import socket

    from redis.connection import AbstractConnection

READ_BYTES = 1 << 16
#: A node that owes so many answers is stopped, or out of reach: a new connection will tell.
OWED_MAX = 64
_NOTHING = object()
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: The round of an answer that nobody ever waited for.
_NOBODY = -1


class _Owed:
    """An answer that is still to come."""

    __slots__ = ("asked_s", "at", "call", "is_again", "round")

    def __init__(self, call: Call, in_round: int, at: int, asked_s: float, *, is_again: bool = False) -> None:
        self.call = call
        self.round = in_round
        self.at = at
        self.asked_s = asked_s
        self.is_again = is_again


class NodeLine:
    """One connection to one node. Used by one thread at a time, in rounds: `ask`, then `poll` until `leave`.

    Attributes:
        replies: To the calls of the round, `OUT` where there is none yet.
    """

    def __init__(self, connector: Connector, *, owed_s_max: float) -> None:
        """Prepare; nothing is connected yet.

        Args:
            connector: Makes the connection.
            owed_s_max: A node that has owed an answer for longer is taken for lost at the next `ask`.
        """
        self.replies: list[Reply] = []
        self._connector = connector
        self._owed_s_max = owed_s_max
        self._attempt: Attempt | None = None
        self._connection: AbstractConnection | None = None
        self._sock: socket.socket | None = None
        self._reader: Any = None
        self._unsent = bytearray()
        self._owed: deque[_Owed] = deque()
        self._calls: Sequence[Call] = ()
        self._round = 0
        self._is_asked = False

    @property
    def is_out(self) -> bool:
        """Whether an answer of this round is still to come."""
        return OUT in self.replies

    @property
    def is_connecting(self) -> bool:
        """Whether the calls of this round wait for a connection."""
        return not self._is_asked and self.is_out

    @property
    def has_unsent(self) -> bool:
        """Whether the node has not taken all yet that it is sent."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Return the socket's number, to wait for what comes; -1 when there is none."""
        return self._sock.fileno() if self._sock is not None else -1

    def ask(self, calls: Sequence[Call]) -> None:
        """Begin a round: send calls, as soon as there is a connection. Never waits.

        Args:
            calls: They are made in this order, unless the node has to be sent a script first.
        """
        self._round += 1
        self._count_off()
        self._calls, self.replies, self._is_asked = calls, [OUT] * len(calls), False
        self._ask_if_connected()

    def _count_off(self) -> None:
        """Drop late answers that have come, and the connection if it has ended or is silent: nothing is lost yet."""
        if self._sock is None:
            return
        if self._is_overdue():
            self.hang_up()
            self._connector.doubt()
        elif self._read():
            self.hang_up()
        else:
            self._take()

    def _is_overdue(self) -> bool:
        owed = self._owed
        return bool(owed) and (
            len(owed) >= OWED_MAX
            or time.monotonic() - owed[0].asked_s > self._owed_s_max + owed[0].call.patience_s
        )

    def _ask_if_connected(self) -> None:
        if self._sock is None:
            refused = self._connect()
            if refused is not None:
                self.replies = [refused] * len(self._calls)
            if self._sock is None:
                return
        self._is_asked = True
        now_s = time.monotonic()
        self._write(
            [packed(call, hiredis.pack_command) for call in self._calls],
            [_Owed(call, self._round, at, now_s) for at, call in enumerate(self._calls)],
        )

    def _connect(self) -> Refused | None:
        """Go on connecting, and say why if that failed."""
        if self._attempt is None:
            begun = self._connector.begin()
            if begun is None or isinstance(begun, Refused):
                return begun
            self._attempt = begun
        made = self._attempt.made
        if made is None:
            return None
        self._attempt = None
        if isinstance(made, Refused):
            return made
        self._connection = made
        # There is no public way to its socket; `async_connection.py` uses the same.
        self._sock = getattr(made, "_sock")  # noqa: B009
        self._sock.setblocking(False)
        self._reader = hiredis.Reader(replyError=explain, notEnoughData=_NOTHING)  # type: ignore[arg-type]
        return None

    def _write(self, commands: list[bytes], owed: list[_Owed]) -> None:
        """Send commands, or keep what the node does not take yet."""
        self._owed += owed
        data = commands[0] if len(commands) == 1 else b"".join(commands)
        if self._unsent or self._sock is None:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._lose(f"sending failed: {error}")
            return
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]

    def _send_more(self) -> str:
        """Send what was left, and return why the connection has ended, if it has."""
        try:
            while self._unsent and self._sock is not None:
                del self._unsent[: self._sock.send(self._unsent)]
        except _WOULD_BLOCK:
            return ""
        except OSError as error:
            return f"sending failed: {error}"
        return ""

    def poll(self) -> bool:
        """Take in what has come, and tell whether anything has; never wait."""
        if not self._is_asked:
            self._ask_if_connected()
            return self._is_asked
        if self._sock is None:
            return False
        owed = len(self._owed)
        lost = (self._send_more() if self._unsent else "") or self._read()
        self._take()
        is_news = len(self._owed) < owed
        if lost:
            self._lose(lost)
        return is_news

    def _read(self) -> str:
        """Feed the parser with what has come, and return why the connection has ended, if it has."""
        sock = self._sock
        if sock is None:
            return "there is no connection"
        try:
            while data := sock.recv(READ_BYTES):
                self._reader.feed(data)
                if len(data) < READ_BYTES and not isinstance(sock, ssl.SSLSocket):
                    # that was all; of what TLS has decrypted already nobody would tell
                    return ""
        except _WOULD_BLOCK:
            return ""
        except OSError as error:
            return f"receiving failed: {error}"
        return "the node closed the connection"

    def _take(self) -> None:
        """Bring the replies that have come to the calls which they answer."""
        lacking: list[_Owed] = []
        try:
            while (told := self._reader.gets()) is not _NOTHING:
                owed = self._owed.popleft()
                if _lacks_script(told) and owed.call.script is not None and not owed.is_again:
                    lacking.append(owed)
                elif owed.round == self._round:
                    self.replies[owed.at] = told
        except (hiredis.ProtocolError, IndexError) as error:
            self._lose(f"what came is not of the protocol: {error}")
            return
        if lacking:
            self._load(lacking)

    def _load(self, lacking: list[_Owed]) -> None:
        """Give the node the scripts that it lacks, and make the calls again; late ones, too: they are copies, say."""
        scripts = {
            call.script.sha: call.script.source for call in (owed.call for owed in lacking) if call.script
        }
        loads = [Call(None, b"", (b"SCRIPT", b"LOAD", source)) for source in scripts.values()]
        now_s = time.monotonic()
        self._write(
            [packed(call, hiredis.pack_command) for call in (*loads, *(owed.call for owed in lacking))],
            [_Owed(load, _NOBODY, 0, now_s) for load in loads]
            + [_Owed(owed.call, owed.round, owed.at, now_s, is_again=True) for owed in lacking],
        )

    def give_up(self, why: str) -> None:
        """End waiting for this round's answers: those that are out have none.

        Args:
            why: For people.
        """
        kind = NoAnswer if self._is_asked else Refused
        self._end(kind(f"{self._connector.name}: {why}"))

    def _end(self, reply: Reply) -> None:
        self.replies = [reply if each is OUT else each for each in self.replies]

    def leave(self) -> bool:
        """End the round, and tell whether the line is of use for another one."""
        if self._sock is not None and self.is_out and any(call.patience_s for call in self._calls):
            # the node takes its time on purpose: nobody may have to wait behind that
            self.hang_up()
        self._round += 1
        self._calls, self.replies, self._is_asked = (), [], False
        return self._sock is not None or self._attempt is not None

    def _lose(self, why: str) -> None:
        """Give up the connection: what was asked has no answer."""
        self.hang_up()
        self._end(NoAnswer(f"{self._connector.name}: {why}"))

    def hang_up(self) -> None:
        """Close the connection; the next round makes another."""
        connection, self._connection, self._sock = self._connection, None, None
        self._owed.clear()
        self._unsent = bytearray()
        if connection is not None:
            connection.disconnect()


def _lacks_script(reply: Reply) -> bool:
    return type(reply) is NodeError and reply.text == "NOSCRIPT"
