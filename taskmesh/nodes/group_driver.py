"""The group driver: runs conversations with several acceptors at once, over one connection to each.

It sends a round to all of them, then reads until the conversation has heard enough: parallel without threads. One that
is dead, stopped or cut off costs the others nothing. Threads take turns, a round at a time; a forked process makes its
own connections.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from taskmesh.core.steps import OUT, GroupSteps, NoAnswer, Pause, Reply, Round
from taskmesh.nodes.acceptor_line import AcceptorLine
from taskmesh.nodes.address import NodeAddress, connection_factory

T = TypeVar("T")

#: How long acceptors may take to answer, and to be connected to.
ANSWER_S, CONNECT_S = 2.0, 0.5
#: How often a connection that is being made is looked at.
LOOK_S = 0.002


class GroupDriver:
    """Runs conversations with acceptors."""

    def __init__(
        self,
        addresses: Callable[[str], NodeAddress],
        *,
        answer_timeout_s: float = ANSWER_S,
        connect_timeout_s: float = CONNECT_S,
        name: str = "taskmesh",
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            addresses: Returns where a `Call.node` is, with its password.
            answer_timeout_s: For a round; an acceptor that has said nothing in that time has `NoAnswer`.
            connect_timeout_s: For making a connection.
            name: Shown in the acceptors' `CLIENT LIST`.
        """
        self._addresses = addresses
        self._timeouts = (connect_timeout_s, answer_timeout_s)
        self._name = name
        self._lines: dict[str, AcceptorLine] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._is_in_round = False

    def run(self, steps: GroupSteps[T]) -> T:
        """Run a conversation to its end and return its result."""
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    time.sleep(request.seconds)
                    request = steps.send([])
                else:
                    request = steps.send(self.perform(request))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def perform(self, request: Round) -> list[Reply]:
        """Make one round."""
        with self._lock:
            if self._pid != os.getpid():
                # sockets of the parent: not ours to speak on, nor to shut down
                self._lines, self._pid, self._is_in_round = {}, os.getpid(), False
            if self._is_in_round:
                # a signal's handler raised in the midst of one: no line knows any more which answer belongs to what
                self._hang_up("it was interrupted")
            self._is_in_round = True
            replies = self._round(request)
            self._is_in_round = False
            return replies

    def _round(self, request: Round) -> list[Reply]:
        deadline_s = time.monotonic() + self._timeouts[1]
        lines = [self._line(call.node) for call in request.calls]
        replies: list[Reply] = [line.ask(call) for line, call in zip(lines, request.calls, strict=True)]
        while OUT in replies and not request.enough(replies):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return [
                    NoAnswer(f"{call.node}: it did not answer in {self._timeouts[1]:g} s")
                    if reply is OUT
                    else reply
                    for call, reply in zip(request.calls, replies, strict=True)
                ]
            self._wait([line for line, reply in zip(lines, replies, strict=True) if reply is OUT], left_s)
            for at, line in enumerate(lines):
                if replies[at] is OUT:
                    replies[at] = line.poll()
        return replies

    def _wait(self, lines: list[AcceptorLine], left_s: float) -> None:
        open_ = [line for line in lines if line.fileno() >= 0]
        if any(line.is_connecting for line in lines):
            left_s = min(left_s, LOOK_S)
        if open_:
            poller = select.poll()
            for line in open_:
                poller.register(line, select.POLLIN)
            poller.poll(left_s * 1000)
        else:
            time.sleep(left_s)

    def _line(self, node: str) -> AcceptorLine:
        line = self._lines.get(node)
        if line is None:
            address = self._addresses(node)
            make = connection_factory(
                address,
                connect_timeout_s=self._timeouts[0],
                answer_timeout_s=self._timeouts[1],
                name=self._name,
            )
            line = self._lines[node] = AcceptorLine(str(address), make)
        return line

    def close(self) -> None:
        """Close all connections; the driver can still be used, and connects anew."""
        with self._lock:
            self._hang_up("closed")

    def _hang_up(self, why: str) -> None:
        for line in self._lines.values():
            line.close(why)
        self._lines = {}
