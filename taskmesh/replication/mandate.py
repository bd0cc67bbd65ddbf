"""With what a leader changes the view, and how it asks many nodes at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from taskmesh.core.script import Script
from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Pause, Refused, Reply, Round, all_answered
from taskmesh.errors import LeadershipLost, NodeFault
from taskmesh.replication.changes import TOLD
from taskmesh.replication.join import PASSING
from taskmesh.replication.view_register import ViewRegister, ViewSteps

T = TypeVar("T")
#: One call after another, to nodes of one's choice.
Ask = Generator[Call, Any, T]

#: How often a call is made again that got no answer, and after how long.
TRIES_MAX = 3
AGAIN_S = 0.2
#: Conversations that are held side by side.
AT_ONCE = 64


class Silent(Exception):
    """A node that was there does not answer any more."""

    def __init__(self, node: str, why: str) -> None:
        """Say which."""
        super().__init__(f"node {node} does not answer: {why}")
        self.node = node


@dataclass(frozen=True, slots=True)
class Mandate:
    """What a leader needs to change the view.

    Attributes:
        prefix: What every key of the mesh begins with.
        now_ms: The nodes' clock.
        token: Its token as leader: nodes obey none with an older one.
        register: Where the view stands.
        note: Told what goes on, and what it waits for, for people.
    """

    prefix: bytes
    now_ms: Callable[[], int]
    token: int
    register: ViewRegister
    note: Callable[[str], None] = lambda _text: None

    def call(self, script: Script, epoch: bytes, node: str, *args: bytes) -> Call:
        """Return a call that any leader may make."""
        return Call(script, self.prefix, (epoch, b"%d" % self.now_ms(), *args), node=node)

    def order(self, script: Script, epoch: bytes, node: str, *args: bytes) -> Call:
        """Return a call that only the newest leader may make."""
        return self.call(script, epoch, node, b"%d" % self.token, *args)


def checked(call: Call, reply: Reply) -> Reply:
    """Return a plain reply; None if there is none, and asking again may help.

    Raises:
        LeadershipLost: The node is further than this leader.
        NodeFault: An error that asking again does not mend.
    """
    if isinstance(reply, NodeError):
        if reply.text.startswith(("STALEVIEW", "STALETOKEN")):
            raise LeadershipLost(f"node {call.node} is further than this leader knows: {reply.text}")
        if not reply.text.startswith(PASSING):
            name = call.script.name if call.script is not None else "command"
            raise NodeFault(f"{name} on node {call.node}: {reply.text}", text=reply.text)
        return None
    if reply is OUT or isinstance(reply, (Refused, NoAnswer)):
        return None
    return reply[1] if isinstance(reply, list) and reply[:1] == [TOLD] else reply


@dataclass(slots=True)
class _Asking:
    """One conversation under way."""

    at: int
    steps: Ask[Any]
    call: Call
    tries: int = 0


def together(tasks: Sequence[Ask[T]], at_once: int = AT_ONCE) -> ViewSteps[list[T]]:
    """Hold many conversations side by side, and return what each returned.

    Raises:
        Silent: A node gave no answer, however often it was asked.
        LeadershipLost, NodeFault: As `checked`.
    """
    results: list[Any] = [None] * len(tasks)
    waiting = deque(enumerate(tasks))
    asking: list[_Asking] = []
    while True:
        while waiting and len(asking) < at_once:
            at, steps = waiting.popleft()
            try:
                asking.append(_Asking(at, steps, next(steps)))
            except StopIteration as stop:
                results[at] = stop.value
        if not asking:
            return results
        replies = yield Round([each.call for each in asking], all_answered)
        goes_on, must_wait = [], False
        for each, raw in zip(asking, replies, strict=True):
            reply = checked(each.call, raw)
            if reply is None and not _is_nil(raw):
                each.tries += 1
                if each.tries == TRIES_MAX:
                    raise Silent(each.call.node, str(getattr(raw, "reason", raw)))
                must_wait = True
                goes_on.append(each)
                continue
            try:
                each.call, each.tries = each.steps.send(reply), 0
            except StopIteration as stop:
                results[each.at] = stop.value
            else:
                goes_on.append(each)
        asking = goes_on
        if must_wait:
            yield Pause(AGAIN_S)


def _is_nil(reply: Reply) -> bool:
    return reply is None
