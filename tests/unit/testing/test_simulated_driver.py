"""The simulated network loses what it is told to lose, and processes crash and stop as real ones do."""

from __future__ import annotations

from random import Random

import pytest

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, NoAnswer, Pause, Refused, Reply, Steps
from taskmesh.testing.simulated_driver import BEGIN_MS, SimulatedProcess
from taskmesh.testing.simulated_network import NetworkFaults, SimulatedNetwork
from taskmesh.testing.simulated_node import NodeIsDown, SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

PREFIX = b"tm:test:"
SOURCE = b"return redis.call('RPUSH', KEYS[1] .. 'log', ARGV[1])"
PUSH = Script("test.push", SOURCE, b"1" * 40)


class Mesh:
    """A node, its network and a process."""

    def __init__(self, faults: NetworkFaults | None = None, seed: int = 1) -> None:
        self.time = VirtualTime()
        self.node = SimulatedNode(clock_us=lambda: int(self.time.now_s * 1e6))
        self.network = SimulatedNetwork(self.time, self.node, Random(seed))
        self.network.faults = faults or NetworkFaults()
        self.process = SimulatedProcess("client", self.network)
        self.replies: list[Reply] = []

    def send(self, *calls: Call, process: SimulatedProcess | None = None) -> None:
        """Have a process make calls at once; replies are collected."""
        (process or self.process).start(conversation([*calls]), self.replies.extend)

    def log(self) -> Reply:
        """What the node has executed."""
        return self.node.call((b"LRANGE", PREFIX + b"log", b"0", b"-1"))


def conversation(calls: list[Call]) -> Steps[list[Reply]]:
    replies = yield calls
    return replies


def push(word: bytes) -> Call:
    return Call(None, PREFIX, (b"RPUSH", PREFIX + b"log", word))


def test_replies_come_in_order_after_some_time() -> None:
    mesh = Mesh()
    mesh.send(push(b"a"), push(b"b"))
    assert mesh.replies == []
    mesh.time.pass_by(1)
    assert mesh.replies == [1, 2]


def test_scripts_are_loaded_when_the_node_does_not_know_them() -> None:
    mesh = Mesh()
    known = mesh.node.call((b"SCRIPT", b"LOAD", SOURCE))
    assert isinstance(known, bytes)
    script = Script("test.push", SOURCE, known)
    mesh.node.call((b"SCRIPT", b"FLUSH"))
    mesh.send(Call(script, PREFIX, (b"a",)), push(b"b"))
    mesh.time.pass_by(1)
    # the second was executed while the first had to wait for its script
    assert mesh.replies == [2, 1]
    assert mesh.log() == [b"b", b"a"]


def test_a_script_put_in_place_of_another_is_run() -> None:
    source = b"return 'another'"
    node = SimulatedNode()
    digest = node.call((b"SCRIPT", b"LOAD", source))
    assert isinstance(digest, bytes)
    mesh = Mesh()
    mesh.network = SimulatedNetwork(
        mesh.time, node, Random(1), scripts={"test.push": Script("test.push", source, digest)}
    )
    mesh.send(Call(PUSH, PREFIX, (b"a",)), process=SimulatedProcess("other", mesh.network))
    mesh.time.pass_by(1)
    assert mesh.replies == [b"another"]


def test_a_refused_call_is_not_executed() -> None:
    mesh = Mesh(NetworkFaults(refused=1.0))
    mesh.send(push(b"a"))
    mesh.time.pass_by(1)
    assert [type(reply) for reply in mesh.replies] == [Refused]
    assert mesh.log() == []


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_reply_is_no_answer_to_what_was_executed(seed: int) -> None:
    mesh = Mesh(NetworkFaults(lost_replies=1.0), seed)
    mesh.send(push(b"a"), push(b"b"))
    mesh.time.pass_by(5)
    assert mesh.log() == [b"a", b"b"]
    assert isinstance(mesh.replies[1], NoAnswer)
    assert mesh.replies[0] == 1 or isinstance(mesh.replies[0], NoAnswer)


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_request_is_executed_up_to_where_it_was_cut(seed: int) -> None:
    mesh = Mesh(NetworkFaults(lost_request=1.0), seed)
    mesh.send(push(b"a"), push(b"b"))
    mesh.time.pass_by(5)
    assert mesh.log() in ([], [b"a"])
    assert isinstance(mesh.replies[1], NoAnswer)


def test_a_late_request_is_executed_after_its_client_has_given_up_and_died() -> None:
    mesh = Mesh(NetworkFaults(late=1.0, late_s_max=1000.0), seed=3)
    mesh.send(push(b"late"))
    mesh.time.pass_by(3)
    assert [type(reply) for reply in mesh.replies] == [NoAnswer]
    mesh.process.crash()
    mesh.network.faults = NetworkFaults()
    mesh.send(push(b"soon"), process=SimulatedProcess("other", mesh.network))
    mesh.time.pass_by(1000)
    assert mesh.log() == [b"soon", b"late"]


def test_one_connection_keeps_its_order() -> None:
    mesh = Mesh(NetworkFaults(delay_s_max=0.5))
    for number in range(20):
        mesh.send(push(b"%d" % number))
    mesh.time.pass_by(5)
    assert mesh.log() == [b"%d" % number for number in range(20)]


def test_a_node_that_crashes_drops_what_it_has_not_executed() -> None:
    mesh = Mesh(NetworkFaults(delay_s_max=0.5))
    mesh.send(push(b"a"))
    mesh.node.crash()
    mesh.network.node_crashed()
    with pytest.raises(NodeIsDown):
        mesh.log()
    mesh.node.restart()
    mesh.time.pass_by(5)
    assert [type(reply) for reply in mesh.replies] == [NoAnswer]
    assert mesh.log() == []
    assert mesh.node.generation == 2


def test_an_older_disk_comes_back_with_a_newer_generation() -> None:
    mesh = Mesh()
    first = mesh.node.set_epoch(PREFIX)
    disk = mesh.node.snapshot()
    mesh.node.call((b"SET", b"later", b"x"))
    mesh.node.restore(disk)
    mesh.node.restart()
    assert mesh.node.call((b"GET", b"later")) is None
    assert mesh.node.set_epoch(PREFIX) > first


def test_a_blocking_pop_waits_for_its_list() -> None:
    mesh = Mesh()
    mesh.send(Call(None, PREFIX, (b"BLPOP", b"wake", b"3"), 3.0))
    mesh.time.pass_by(1)
    assert mesh.replies == []
    mesh.send(Call(None, PREFIX, (b"RPUSH", b"wake", b"x")), process=SimulatedProcess("other", mesh.network))
    mesh.time.pass_by(0.1)
    assert [b"wake", b"x"] in mesh.replies
    mesh.send(Call(None, PREFIX, (b"BLPOP", b"wake", b"3"), 3.0))
    mesh.time.pass_by(4)
    assert mesh.replies[-1] is None


def test_a_dead_process_is_not_served() -> None:
    mesh = Mesh()
    mesh.send(Call(None, PREFIX, (b"BLPOP", b"wake", b"3"), 3.0))
    mesh.time.pass_by(1)
    mesh.process.crash()
    mesh.send(Call(None, PREFIX, (b"RPUSH", b"wake", b"x")), process=SimulatedProcess("other", mesh.network))
    mesh.time.pass_by(5)
    assert mesh.node.call((b"LLEN", b"wake")) == 1
    assert mesh.replies == [1]


def test_a_stopped_process_takes_in_later_what_happened() -> None:
    mesh = Mesh()

    def steps() -> Steps[int]:
        yield Pause(1.0)
        (reply,) = yield [push(b"a")]
        return int(reply)

    mesh.process.start(steps(), mesh.replies.append)
    mesh.process.pause()
    mesh.time.pass_by(10)
    assert mesh.log() == []
    mesh.process.resume()
    mesh.time.pass_by(1)
    assert mesh.replies == [1]


def test_a_crash_ends_every_coroutine_and_timer() -> None:
    mesh = Mesh()
    happened: list[str] = []
    mesh.process.after(1.0, lambda: happened.append("timer"))
    mesh.send(push(b"a"))
    mesh.process.crash()
    mesh.time.pass_by(5)
    assert (happened, mesh.replies) == ([], [])
    # what was sent before is executed all the same
    assert mesh.log() == [b"a"]


def test_the_clock_of_a_process_may_be_off() -> None:
    mesh = Mesh()
    other = SimulatedProcess("other", mesh.network, clock_skew_s=0.25)
    mesh.time.pass_by(2.0)
    assert mesh.process.session(PREFIX).now_ms() == BEGIN_MS + 2000
    assert other.session(PREFIX).now_ms() == BEGIN_MS + 2250


def test_time_stands_where_the_condition_came_to_hold() -> None:
    time = VirtualTime()
    seen: list[float] = []
    for moment_s in (3.0, 1.0, 2.0):
        time.at(moment_s, lambda: seen.append(time.now_s))
    assert time.run(lambda: len(seen) == 2, 10)
    assert (seen, time.now_s) == ([1.0, 2.0], 2.0)
    assert not time.run(lambda: len(seen) == 4, 10)
    assert (seen, time.now_s) == ([1.0, 2.0, 3.0], 12.0)
