"""What the simulated node does beyond answering as a real one: faults, subscriptions, refusing what it cannot do."""

from __future__ import annotations

import pytest

from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.node_commands.values import NotSimulated
from taskmesh.testing.simulated_node import SimulatedNode


@pytest.fixture
def node() -> SimulatedNode:
    return SimulatedNode()


def test_what_is_not_simulated_is_no_error_reply(node: SimulatedNode) -> None:
    """A script that guards against errors must not go on as if the real node had refused."""
    for words in (
        (b"EXPIRE", b"k", b"1"),
        (b"SET", b"k", b"v", b"EX", b"1"),
        (b"ZADD", b"z", b"INCR", b"1", b"m"),
    ):
        with pytest.raises(NotSimulated):
            node.call(words)
    with pytest.raises(NotSimulated):
        node.eval("pcall(redis.call, 'EXPIRE', 'k', 1) return 'went on'")


def test_scripts_find_neither_clock_nor_chance(node: SimulatedNode) -> None:
    for source in ("return os.time()", "return math.random()"):
        reply = node.eval(source)
        assert isinstance(reply, SimulatedError)


def test_the_wall_clock_is_given() -> None:
    node = SimulatedNode(clock_us=lambda: 12_000_034)
    assert node.call((b"TIME",)) == [b"12", b"34"]


def test_draws_depend_on_the_seed() -> None:
    def drawn(seed: int) -> object:
        node = SimulatedNode(seed=seed)
        node.call((b"SADD", b"e", *(b"%d" % number for number in range(50))))
        return node.call((b"SPOP", b"e", 20))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_subscribers_hear_in_the_moment_of_publishing(node: SimulatedNode) -> None:
    heard: list[bytes] = []
    unsubscribe = node.subscribe(b"c", lambda _, message: heard.append(message))
    assert node.eval("return redis.call('PUBLISH', 'c', ARGV[1])", (), (b"one",)) == 1
    assert heard == [b"one"]
    unsubscribe()
    assert node.call((b"PUBLISH", b"c", b"two")) == 0
    node.subscribe(b"c", lambda _, message: heard.append(message))
    node.restart()
    assert node.call((b"PUBLISH", b"c", b"three")) == 0
    assert heard == [b"one"]


def test_nodes_share_scripts_and_nothing_else() -> None:
    one, other = SimulatedNode("one"), SimulatedNode("other")
    source = "return redis.call('INCR', KEYS[1])"
    assert [one.eval(source, [b"k"]), one.eval(source, [b"k"]), other.eval(source, [b"k"])] == [1, 2, 1]


def test_a_snapshot_is_not_touched_by_what_comes_later(node: SimulatedNode) -> None:
    node.eval(
        "redis.call('RPUSH', 'l', 1) redis.call('SADD', 's', 1) redis.call('HSET', 'h', 'f', 1) "
        "redis.call('ZADD', 'z', 1, 'm') redis.call('SET', 'k', 1)"
    )
    disk = node.snapshot()
    node.eval(
        "redis.call('RPUSH', 'l', 2) redis.call('SADD', 's', 2) redis.call('HSET', 'h', 'f', 2) "
        "redis.call('ZADD', 'z', 2, 'm') redis.call('SET', 'k', 2)"
    )
    for _ in range(2):
        node.restore(disk)
        state = [
            node.call(w) for w in ((b"LLEN", b"l"), (b"SCARD", b"s"), (b"HGET", b"h", b"f"), (b"GET", b"k"))
        ]
        assert state == [1, 1, b"1", b"1"]
        assert node.call((b"ZSCORE", b"z", b"m")) == b"1"
        node.call((b"RPUSH", b"l", b"3"))
    node.wipe()
    assert node.call((b"DBSIZE",)) == 0


def test_each_start_is_another_run(node: SimulatedNode) -> None:
    before = node.call((b"INFO",))
    node.call((b"SCRIPT", b"LOAD", b"return 1"))
    node.restart()
    assert node.call((b"INFO",)) != before
    assert node.call((b"SCRIPT", b"EXISTS", b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db")) == [0]
    assert node.set_epoch(b"tm:x:") == node.call((b"GET", b"tm:x:epoch")) == b"000000020001"


def test_full_memory_shows_in_the_account_of_it(node: SimulatedNode) -> None:
    def share() -> float:
        info = node.call((b"INFO", b"memory"))
        assert isinstance(info, bytes)
        facts = dict(line.split(b":", 1) for line in info.split(b"\r\n") if line)
        return int(facts[b"used_memory"]) / int(facts[b"maxmemory"])

    assert share() < 1
    node.set_memory_full(full=True)
    assert share() > 1
