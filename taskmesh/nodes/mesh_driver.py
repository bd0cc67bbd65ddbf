"""The driver for several nodes: writes to all of them, then reads until enough have answered: parallel without threads.

Safe to share between threads: each round borrows a connection to each node that it asks. A forked process makes its
own. A node that is dead, stopped or silent costs the others nothing.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from taskmesh.core.steps import OUT, Call, GroupSteps, Pause, Refused, Reply, Round, Steps
from taskmesh.errors import ConfigError, TaskMeshError
from taskmesh.nodes.member import Member, Place
from taskmesh.nodes.sync_driver import ANSWER_S_MIN

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

T = TypeVar("T")

#: A connection that is being made is looked at after this time, and then less and less often.
LOOK_S_MIN, LOOK_S_MAX = 0.0005, 0.02
#: The share of the time that has passed after which it is looked at again.
LOOK_PART = 0.2


class MeshDriver:
    """Runs conversations with several nodes at once: each call says its node."""

    def __init__(
        self,
        expected: Callable[[str], Place],
        *,
        connect_timeout_s: float = 2.0,
        answer_timeout_s: float = 10.0,
        name: str = "taskmesh",
        before_connect: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            expected: Returns where a `Call.node` is, with its password, and the run id of its server as it was
                admitted: another process there is refused, for it may have forgotten. None for whichever answers. Asked
                at every round, so that a newer view is obeyed at once; may raise a `TaskMeshError`.
            connect_timeout_s: For making a connection.
            answer_timeout_s: For one reply; a call without one in that time is `NoAnswer`.
            name: Shown in the nodes' `CLIENT LIST`.
            before_connect: Called with the node before each new connection (starts an embedded one).
        """
        self._expected = expected
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._name = name
        self._before_connect = before_connect
        self._members: dict[str, Member] = {}
        self._pid = os.getpid()

    def run(self, steps: GroupSteps[T] | Steps[T], *, within_s: float | None = None) -> T:
        """Run a conversation to its end and return its result.

        Args:
            steps: The conversation.
            within_s: How long the caller has, as for `SyncDriver.run`.
        """
        deadline_s = None if within_s is None else time.monotonic() + within_s
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    time.sleep(request.seconds)
                    request = steps.send([])
                else:
                    request = steps.send(self.perform(request, deadline_s))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def perform(self, request: Round | list[Call], deadline_s: float | None = None) -> list[Reply]:
        """Make one round, or calls whose answers are all waited for.

        Args:
            request: Each call names its node. Several to one node travel together. What is still out when there is
                enough may be executed later; to a node that was still being connected to then, it is not sent at all.
            deadline_s: Until when the caller waits, by the monotonic clock.
        """
        calls = request.calls if isinstance(request, Round) else request
        enough = request.enough if isinstance(request, Round) else _never
        return _Conversing(self, calls).go_on_until(enough, self._answer_timeout_s, deadline_s)

    def member(self, node: str) -> Member:
        """Return a node at the place where it is expected now.

        Raises:
            TaskMeshError: Nobody knows where that is.
        """
        if self._pid != os.getpid():
            # sockets of the parent: not ours to speak on, nor to shut down
            self._members, self._pid = {}, os.getpid()
        place = self._expected(node)
        member = self._members.get(node)
        if member is None or member.place != place:
            before_connect = self._before_connect
            made = Member(
                place,
                connect_timeout_s=self._connect_timeout_s,
                answer_timeout_s=self._answer_timeout_s,
                name=self._name,
                before_connect=None if before_connect is None else lambda: before_connect(node),
            )
            if member is not None:
                member.close()
            # Two threads may make one at the same time: what the loser's connections do is over soon.
            member = self._members[node] = made
        return member

    def connect(self, node: str, within_s: float | None = None) -> AbstractConnection:
        """Return a new connected connection, for those who keep one (subscriptions).

        Args:
            node: To which.
            within_s: As for `SyncDriver.connect`.
        """
        return self.member(node).alone.connect(within_s)

    def close(self) -> None:
        """Close idle connections; the driver can still be used, and connects anew."""
        for member in list(self._members.values()):
            member.close()


def by_node(calls: Sequence[Call]) -> dict[str, list[int]]:
    """Return for each node that is asked which of the calls are its.

    Raises:
        ValueError: One names no node.
    """
    places: dict[str, list[int]] = {}
    for at, call in enumerate(calls):
        if not call.node:
            raise ValueError(f"in a mesh of several nodes a call must name its node: {call!r}")
        places.setdefault(call.node, []).append(at)
    return places


class _Asked:
    """What one node is asked in a round."""

    __slots__ = ("line", "member", "patience_s", "places", "until_s")

    def __init__(self, member: Member, places: list[int], calls: list[Call]) -> None:
        self.member = member
        self.places = places
        self.patience_s = max(call.patience_s for call in calls)
        self.until_s = 0.0
        self.line = member.borrow()


class _Conversing:
    """One round: a borrowed line to each node that is asked."""

    def __init__(self, driver: MeshDriver, calls: Sequence[Call]) -> None:
        self._driver = driver
        self._calls = calls
        self._replies: list[Reply] = [OUT] * len(calls)
        self._asked: list[_Asked] = []

    def go_on_until(
        self, enough: Callable[[Sequence[Reply]], bool], answer_s: float, deadline_s: float | None
    ) -> list[Reply]:
        """Ask, and return the replies when there are enough of them, or when the time is over.

        Args:
            enough: Tells when that is.
            answer_s: For one reply.
            deadline_s: Until when the caller waits; None for as long as answers may take.
        """
        try:
            self._ask()
            self._listen(enough, answer_s, deadline_s)
        except BaseException:
            # interrupted between question and answer: no line knows any more what belongs to what
            for asked in self._asked:
                asked.line.hang_up()
            raise
        for asked in self._asked:
            asked.member.give_back(asked.line)
        return self._replies

    def _ask(self) -> None:
        for node, its in by_node(self._calls).items():
            calls = [self._calls[at] for at in its]
            try:
                member = self._driver.member(node)
            except TaskMeshError as error:
                for at in its:
                    self._replies[at] = Refused(f"node {node}: {error}", isinstance(error, ConfigError))
                continue
            asked = _Asked(member, its, calls)
            self._asked.append(asked)
            asked.line.ask(calls)

    def _listen(
        self, enough: Callable[[Sequence[Reply]], bool], answer_s: float, deadline_s: float | None
    ) -> None:
        began_s = time.monotonic()
        if deadline_s is not None:
            answer_s = min(answer_s, max(deadline_s - began_s, ANSWER_S_MIN))
        for asked in self._asked:
            asked.until_s = began_s + answer_s + asked.patience_s
        out = self._take_in(self._asked)
        while out and not enough(self._replies):
            now_s = time.monotonic()
            late = [asked for asked in out if now_s >= asked.until_s]
            for asked in late:
                if not asked.line.is_connecting:
                    # this process may have stood still: what came meanwhile is there
                    asked.line.poll()
                asked.line.give_up(f"no answer within {answer_s + asked.patience_s:.3g} s")
            if not late:
                self._wait(out, now_s, began_s)
                for asked in out:
                    if asked.line.poll() and deadline_s is None:
                        asked.until_s = time.monotonic() + answer_s + asked.patience_s
            out = self._take_in(out)

    def _take_in(self, out: list[_Asked]) -> list[_Asked]:
        """Copy what has been answered, and return those who still owe something."""
        replies = self._replies
        for asked in out:
            for at, reply in zip(asked.places, asked.line.replies, strict=True):
                replies[at] = reply
        return [asked for asked in out if asked.line.is_out]

    def _wait(self, out: list[_Asked], now_s: float, began_s: float) -> None:
        left_s = min(asked.until_s for asked in out) - now_s
        if any(asked.line.is_connecting for asked in out):
            left_s = min(left_s, LOOK_S_MAX, max(LOOK_S_MIN, LOOK_PART * (now_s - began_s)))
        poller = None
        for asked in out:
            if asked.line.fileno() >= 0:
                poller = poller or select.poll()
                poller.register(
                    asked.line, select.POLLIN | select.POLLOUT if asked.line.has_unsent else select.POLLIN
                )
        if poller is None:
            time.sleep(left_s)
        else:
            poller.poll(left_s * 1000)


def _never(_replies: Sequence[Reply]) -> bool:
    return False
