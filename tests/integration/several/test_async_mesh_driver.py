"""The driver for several nodes in event loops, against real servers that are killed, stopped and started anew."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Pause, Refused, Round
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.async_mesh_driver import AsyncMeshDriver
from taskmesh.nodes.mesh_driver import MeshDriver
from tests.integration.several.conftest import NODES, command, script, to_all, when
from tests.patience import LONG_S

pytestmark = pytest.mark.needs_server

TESTS_LAST_S = 240


@pytest.fixture
def asynchronous(make_driver) -> Iterator[AsyncMeshDriver]:
    driver = AsyncMeshDriver(make_driver(), answer_timeout_s=LONG_S)
    yield driver
    driver.close()


def in_loop(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TESTS_LAST_S))


def test_it_gives_what_the_sync_driver_gives(driver, asynchronous):
    """Values, errors, and scripts that a node lacks; several calls to one node, in any order."""
    fresh = script(f"-- {os.urandom(4).hex()}\nreturn ARGV")
    fails = script("return redis.error_reply('STALEVIEW f0000000007')")
    calls = [
        command("n2", b"ECHO", b"1"),
        Call(fresh, b"p:", (b"2",), 0.0, "n1"),
        Call(fails, b"p:", (), 0.0, "n3"),
        command("n2", b"NOSUCHCOMMAND"),
        command("n1", b"ECHO", b"3"),
    ]
    replies = in_loop(asynchronous.perform(calls))
    assert replies == driver.perform(calls)
    assert replies[:3] == [b"1", [b"2"], NodeError("STALEVIEW f0000000007")]


def test_a_protocol_runs_to_its_end(asynchronous):
    def steps():
        first = yield to_all(b"ECHO", b"1")
        nothing = yield Pause(0.001)
        second = yield when(3, b"ECHO", b"2")
        return first, nothing, list(second)

    assert in_loop(asynchronous.run(steps())) == ([b"1"] * 3, [], [b"2"] * 3)


def test_who_is_unknown_is_refused():
    def nobody(_node):
        raise NodeUnavailable("the view knows no such node", node="n9")

    driver = AsyncMeshDriver(MeshDriver(nobody), answer_timeout_s=1.0)
    replies = in_loop(driver.perform([command("n9", b"PING"), command("n8", b"PING")]))
    assert replies[0] == Refused("node n9: the view knows no such node")


def test_a_stopped_node_costs_the_others_nothing_and_answers_late_to_nobody(asynchronous, three_nodes):
    async def main():
        tasks = asyncio.all_tasks()
        await asynchronous.perform(to_all(b"PING"))
        three_nodes.stop(2)
        for number in range(20):
            word = b"%d" % number
            assert await asynchronous.perform(when(2, b"ECHO", word)) == [word, word, OUT]
        three_nodes.go_on(2)
        for number in range(100, 120):
            assert await asynchronous.perform(to_all(b"ECHO", b"%d" % number)) == [b"%d" % number] * 3
        assert asyncio.all_tasks() == tasks

    in_loop(main())


def test_many_conversations_get_each_its_own(asynchronous):
    async def converse(name: int):
        for number in range(20):
            word = b"%d-%d" % (name, number)
            replies = await asynchronous.perform(when(2, b"ECHO", word))
            assert set(replies) <= {word, OUT}

    async def main():
        await asyncio.gather(*[converse(name) for name in range(10)])

    in_loop(main())


def test_a_stopped_node_that_is_not_connected_costs_the_others_nothing(asynchronous, three_nodes):
    three_nodes.stop(1)
    assert in_loop(asynchronous.perform(when(2, b"ECHO", b"x"))) == [b"x", OUT, b"x"]
    three_nodes.go_on(1)


def test_a_caller_waits_no_longer_than_he_has(asynchronous, three_nodes):
    def steps():
        return (yield to_all(b"ECHO", b"x"))

    async def main():
        await asynchronous.perform(to_all(b"PING"))
        three_nodes.stop(0)
        # on a busy machine the others may not answer in so short a time either
        for within_s in (0.1, 1.0, 10.0):
            began_s = time.monotonic()
            replies = await asynchronous.run(steps(), within_s=within_s)
            assert time.monotonic() - began_s < within_s + LONG_S / 2
            assert isinstance(replies[0], NoAnswer)
            if replies[1:] == [b"x", b"x"]:
                return
        pytest.fail(f"the others did not answer: {replies}")

    in_loop(main())


def test_a_cancelled_round_leaves_nothing(asynchronous, three_nodes):
    async def main():
        tasks = asyncio.all_tasks()
        await asynchronous.perform(to_all(b"PING"))
        three_nodes.stop(0)
        task = asyncio.ensure_future(asynchronous.perform(to_all(b"ECHO", b"x")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        three_nodes.go_on(0)
        assert asyncio.all_tasks() == tasks
        assert await asynchronous.perform(to_all(b"ECHO", b"y")) == [b"y"] * 3

    in_loop(main())


def test_a_server_that_was_started_anew_is_refused_until_it_is_admitted(asynchronous, places, three_nodes):
    places.admit()

    async def main():
        assert await asynchronous.perform(to_all(b"ECHO", b"x")) == [b"x"] * 3
        three_nodes.kill(1)
        three_nodes.start(1)
        replies = await asynchronous.perform(to_all(b"ECHO", b"x"))
        assert isinstance(replies[1], (NoAnswer, Refused))
        replies = await asynchronous.perform(to_all(b"ECHO", b"x"))
        assert isinstance(replies[1], Refused)
        assert "waits to be admitted" in replies[1].reason
        assert [replies[0], replies[2]] == [b"x", b"x"]
        places.admit("n2")
        assert await asynchronous.perform(to_all(b"ECHO", b"x")) == [b"x"] * 3

    in_loop(main())


def test_a_round_that_has_enough_from_the_start_waits_for_nobody(asynchronous):
    round_ = Round([command(node, b"PING") for node in NODES], lambda _: True)
    assert in_loop(asynchronous.perform(round_)) == [OUT] * 3
