"""A seeded network between processes and one simulated node.

What can go wrong is what goes wrong with TCP and a client library that does not repeat by itself:

- a connection is refused: the calls were certainly not made (`Refused`);
- a connection breaks, or stays silent: some of the calls were made, some of the replies arrived (`NoAnswer`);
- a request is late, perhaps later than its client waits: then it is executed all the same, after the client has
  repeated it over another connection, or after the client has died;
- requests of different connections overtake each other, and those which went out together are executed with
  others in between.

A node that crashes drops what it has not executed, and the answers to what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Reply
from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

if TYPE_CHECKING:
    from taskmesh.testing.simulated_driver import SimulatedProcess

Answer = Callable[[list[Reply]], None]


@dataclass(slots=True)
class NetworkFaults:
    """How often things go wrong, as a probability for each request, and how slow the rest is.

    Attributes:
        delay_s_max: Longest way of a request or of its replies when nothing is wrong.
        refused: No connection is made.
        lost_request: The connection breaks before all calls of the request have been executed.
        lost_replies: It breaks after that, before all replies have arrived.
        late: The request takes up to `late_s_max` to arrive.
        late_s_max: See there. More than the clients' patience makes executions that nobody waits for.
        interleaved: Other requests are executed between the calls of this one.
    """

    delay_s_max: float = 0.001
    refused: float = 0.0
    lost_request: float = 0.0
    lost_replies: float = 0.0
    late: float = 0.0
    late_s_max: float = 20.0
    interleaved: float = 0.1


@dataclass(frozen=True, slots=True)
class Executed:
    """One call as the node executed it, for those who check what came of it.

    Attributes:
        call: The call.
        reply: What the node answered, whether or not the answer arrives.
        process: Name of the caller.
    """

    call: Call
    reply: Reply
    process: str


class _Exchange:
    """Calls under way over one connection, and what has come back."""

    __slots__ = ("answer", "answered", "at", "caller", "calls", "cut", "heard", "replies", "run", "timeout_s")

    def __init__(
        self,
        caller: SimulatedProcess,
        calls: Sequence[Call],
        answer: Answer,
        run: int,
    ) -> None:
        self.caller = caller
        self.calls = calls
        self.answer = answer
        self.run = run
        self.at = 0
        self.cut = self.heard = len(calls)
        self.replies: list[Reply] = []
        self.answered = False


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A `BLPOP` that waits on the node."""

    exchange: _Exchange
    key: bytes
    until_s: float


class SimulatedNetwork:
    """Carries the calls of all processes to one node.

    Attributes:
        faults: What goes wrong from now on; may be replaced at any time.
        watchers: Called with each `Executed`.
        executed: How many calls the node has executed.
        last_arrival_s: When the last arrives of all that was sent until now.
    """

    def __init__(
        self,
        time: VirtualTime,
        node: SimulatedNode,
        random: Random,
        *,
        scripts: Mapping[str, Script] | None = None,
    ) -> None:
        """Make a network without faults.

        Args:
            time: The simulation's time.
            node: The node.
            random: What decides everything that is left to chance here.
            scripts: By name, scripts to be run in place of the callers' own (a defect bank puts broken ones).
        """
        self.time = time
        self.node = node
        self.faults = NetworkFaults()
        self.watchers: list[Callable[[Executed], None]] = []
        self.executed = 0
        self.last_arrival_s = 0.0
        self._random = random
        self._scripts = dict(scripts or {})
        self._blocked: list[_Blocked] = []
        self._arrivals: dict[SimulatedProcess, float] = {}

    def send(self, caller: SimulatedProcess, calls: Sequence[Call], answer: Answer) -> None:
        """Send calls over the caller's connection; `answer` is called once, with a reply for each."""
        faults, random = self.faults, self._random
        if not self.node.running or random.random() < faults.refused:
            reason = "refused" if self.node.running else "the node is down"
            self.time.after(self._delay(), lambda: answer([Refused(reason)] * len(calls)))
            return
        exchange = _Exchange(caller, calls, answer, self.node.generation)
        fate = random.random()
        arrival_s = self.time.now_s + self._delay()
        if fate < faults.lost_request:
            exchange.cut = random.randrange(len(calls))
            exchange.heard = random.randint(0, exchange.cut)
        elif fate < faults.lost_request + faults.lost_replies:
            exchange.heard = random.randrange(len(calls))
        elif fate < faults.lost_request + faults.lost_replies + faults.late:
            # as often a little late as very late
            arrival_s += 0.01 * (faults.late_s_max / 0.01) ** random.random()
        # one connection is in order; a new one, made after a failure, is not in order with the old
        arrival_s = max(arrival_s, self._arrivals.get(caller, 0.0))
        self._arrivals[caller] = arrival_s
        self.last_arrival_s = max(self.last_arrival_s, arrival_s)
        patience_s = caller.timeout_s + max(call.patience_s for call in calls)
        self.time.after(patience_s, lambda: self._fail(exchange, "no answer in time"))
        self.time.at(arrival_s, lambda: self._proceed(exchange))

    def node_crashed(self) -> None:
        """Break every connection: to be called when the node has crashed."""
        blocked, self._blocked = self._blocked, []
        for waiting in blocked:
            self.time.after(self._delay(), lambda lost=waiting.exchange: self._fail(lost, "connection lost"))  # type: ignore[misc]
        self._arrivals.clear()

    # Inside

    def _delay(self) -> float:
        return self._random.random() * self.faults.delay_s_max

    def _fail(self, exchange: _Exchange, reason: str) -> None:
        """End an exchange for its caller: what has not been heard has no answer."""
        if exchange.answered:
            return
        exchange.answered = True
        self._arrivals.pop(exchange.caller, None)
        unloaded = Refused("the node does not know the script")
        heard = [unloaded if reply is _NO_SCRIPT else reply for reply in exchange.replies[: exchange.heard]]
        exchange.answer(heard + [NoAnswer(reason)] * (len(exchange.calls) - len(heard)))

    def _proceed(self, exchange: _Exchange) -> None:
        """Execute the next calls of an exchange."""
        if exchange.run != self.node.generation or not self.node.running:
            # the node crashed before it came to them
            exchange.heard = 0
            self.time.after(self._delay(), lambda: self._fail(exchange, "connection lost"))
            return
        while exchange.at < exchange.cut:
            call = exchange.calls[exchange.at]
            if self._blocks(exchange, call):
                return
            exchange.at += 1
            exchange.replies.append(self._execute(exchange, call))
            if exchange.at < exchange.cut and self._random.random() < self.faults.interleaved:
                self.time.after(self._delay(), lambda: self._proceed(exchange))
                return
        self._reply(exchange)

    def _reply(self, exchange: _Exchange) -> None:
        if exchange.heard < len(exchange.calls):
            # the caller notices at once when the connection is reset, and at its time-out when it is silent
            if self._random.random() < 0.5:
                self.time.after(self._delay(), lambda: self._fail(exchange, "connection lost"))
            return
        self.time.after(self._delay(), lambda: self._arrive(exchange))

    def _arrive(self, exchange: _Exchange) -> None:
        if exchange.answered:
            return
        if exchange.run != self.node.generation or not self.node.running:
            exchange.heard = 0
            self._fail(exchange, "connection lost")
            return
        missing = [at for at, reply in enumerate(exchange.replies) if reply is _NO_SCRIPT]
        exchange.answered = True
        if not missing:
            exchange.answer(exchange.replies)
            return
        # as the real drivers do: load what the node lacks, and make those calls again
        again = [exchange.calls[at] for at in missing]
        for call in again:
            if call.script is not None:
                self.node.call((b"SCRIPT", b"LOAD", self._script(call.script).source))

        def merge(replies: list[Reply]) -> None:
            for at, reply in zip(missing, replies, strict=True):
                exchange.replies[at] = reply
            exchange.answer(exchange.replies)

        self.send(exchange.caller, again, merge)

    def _script(self, script: Script) -> Script:
        return self._scripts.get(script.name, script)

    def _execute(self, exchange: _Exchange, call: Call) -> Reply:
        if call.script is None:
            result = self.node.call(call.args)
        else:
            result = self.node.evalsha(self._script(call.script).sha, (call.prefix,), call.args)
        reply: Reply = result
        if isinstance(result, SimulatedError):
            if result.text.startswith("NOSCRIPT"):
                return _NO_SCRIPT
            reply = NodeError(result.text.removeprefix("ERR "))
        self._executed(call, reply, exchange.caller.name)
        return reply

    def _executed(self, call: Call, reply: Reply, process: str) -> None:
        self.executed += 1
        executed = Executed(call, reply, process)
        for watcher in self.watchers:
            watcher(executed)
        if self._blocked:
            self._serve_blocked()

    # BLPOP

    def _blocks(self, exchange: _Exchange, call: Call) -> bool:
        """Have a `BLPOP` wait for its list, unless there is something on it now."""
        if call.script is not None or call.args[0] != b"BLPOP" or call.args[1] in self.node.values:
            return False
        until_s = self.time.now_s + float(call.args[-1])
        blocked = _Blocked(exchange, call.args[1], until_s)
        self._blocked.append(blocked)
        self.time.at(until_s, lambda: self._unblock(blocked, None))
        return True

    def _unblock(self, blocked: _Blocked, reply: Reply) -> None:
        if blocked not in self._blocked:
            return
        self._blocked.remove(blocked)
        blocked.exchange.at += 1
        blocked.exchange.replies.append(reply)
        self._proceed(blocked.exchange)

    def _serve_blocked(self) -> None:
        for blocked in list(self._blocked):
            if not blocked.exchange.caller.alive or blocked.exchange.answered:
                # its connection is closed
                self._blocked.remove(blocked)
            elif blocked.key in self.node.values:
                popped = self.node.call((b"LPOP", blocked.key))
                self.time.at(self.time.now_s, lambda b=blocked, p=popped: self._unblock(b, [b.key, p]))  # type: ignore[misc]


_NO_SCRIPT = NodeError("NOSCRIPT")
