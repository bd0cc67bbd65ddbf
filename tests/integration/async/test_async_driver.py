"""The async driver against a real node: the same protocols, the same replies as the sync driver."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from redis import Redis

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused, Reply, Steps
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.async_driver import AsyncDriver
from taskmesh.nodes.embedded import PrivateNode
from taskmesh.nodes.sync_driver import SyncDriver
from tests.support import await_until, wait_until

# Longer than a test lasts: nothing may depend on it.
ANSWER_TIMEOUT_S = 360.0
TESTS_LAST_S = 120


def script(source: str) -> Script:
    import hashlib

    text = source.encode()
    return Script("test", text, hashlib.sha1(text).hexdigest().encode())


ECHO = script("return ARGV")
FAIL = script("return redis.error_reply('STALEVIEW 000000000007')")
MIXED = script("return {ARGV[1], redis.error_reply('NESTED one'), 7, false}")
BROKEN = script("error('oh')")


def command(*words: bytes, patience_s: float = 0.0) -> Call:
    return Call(None, b"", words, patience_s)


def run(source: Script, *args: bytes) -> Call:
    return Call(source, b"p:", args)


def ask(*calls: Call) -> Steps[list[Reply]]:
    replies = yield list(calls)
    return replies


@pytest.fixture
def name() -> str:
    """Name of the test's connections, and of its keys."""
    return f"driver-{os.urandom(4).hex()}"


@pytest.fixture
def sync_driver(node: PrivateNode, name: str) -> Iterator[SyncDriver]:
    driver = SyncDriver(NodeAddress(f"unix://{node.socket_path}"), name=name)
    yield driver
    driver.close()


@pytest.fixture
def driver(sync_driver: SyncDriver) -> Iterator[AsyncDriver]:
    driver = AsyncDriver(sync_driver, answer_timeout_s=ANSWER_TIMEOUT_S)
    yield driver
    driver.close()


@pytest.fixture
def looker(node: PrivateNode) -> Iterator[Redis]:
    with Redis(unix_socket_path=node.socket_path, protocol=2) as looker:
        yield looker


def clients(looker: Redis, name: str) -> list[str]:
    """Return the ids of the connections that the node has of a test."""
    return [client["id"] for client in looker.client_list() if client["name"] == name]


def in_loop(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TESTS_LAST_S))


def test_it_gives_a_protocol_what_the_sync_driver_gives_it(driver, sync_driver, name):
    """Values, nil, integers, errors of the script and of the server, errors inside of lists."""
    calls = [
        command(b"SET", name.encode(), b"v"),
        command(b"GET", name.encode()),
        command(b"GET", b"no such key"),
        command(b"STRLEN", name.encode()),
        command(b"LPUSH", name.encode(), b"wrong type"),
        command(b"NOSUCHCOMMAND"),
        run(ECHO, b"1", b"\xff\x00", b""),
        run(FAIL),
        run(BROKEN),
    ]
    asynchronous = in_loop(driver.run(ask(*calls)))
    assert asynchronous == sync_driver.run(ask(*calls))
    assert asynchronous[6] == [b"1", b"\xff\x00", b""]
    assert asynchronous[7] == NodeError("STALEVIEW 000000000007")


def test_an_error_inside_of_a_list_stands_in_its_place(driver):
    (reply,) = in_loop(driver.run(ask(run(MIXED, b"x"))))
    assert reply == [b"x", NodeError("NESTED one"), 7, None]


def test_scripts_that_the_node_lacks_are_loaded(driver, looker, name):
    """Two that are missing and one that is not, in one request: each reply stands in its place."""
    first, second = (script(f"-- {name} {n}\nreturn '{n}'") for n in "12")
    looker.script_load(ECHO.source.decode())
    assert in_loop(driver.run(ask(run(first), run(ECHO, b"e"), run(second), run(first)))) == [
        b"1",
        [b"e"],
        b"2",
        b"1",
    ]


def test_a_script_that_cannot_be_loaded_is_an_error(driver, name):
    assert in_loop(driver.run(ask(run(script(f"-- {name}\nreturn ("))))) == [NodeError("NOSCRIPT")]


def test_pauses_and_several_steps(driver, name):
    def steps() -> Steps[bytes]:
        (length,) = yield [command(b"APPEND", name.encode(), b"a")]
        before_s = time.monotonic()
        assert (yield Pause(0.02)) == []
        assert time.monotonic() - before_s >= 0.02
        (length,) = yield [command(b"APPEND", name.encode(), b"b")]
        (value,) = yield [command(b"GET", name.encode())]
        return b"%d %s" % (length, value)

    assert in_loop(driver.run(steps())) == b"2 ab"


def test_what_a_protocol_raises_is_raised(driver):
    def steps() -> Steps[None]:
        yield [command(b"PING")]
        raise ValueError("from the protocol")

    with pytest.raises(ValueError, match="from the protocol"):
        in_loop(driver.run(steps()))


def test_many_conversations_share_one_connection(driver, looker, name):
    """Each gets its own replies, whatever their number and order."""

    async def converse(n: int) -> list[bytes]:
        first = await driver.run(ask(run(ECHO, b"%d" % n)))
        second = await driver.run(ask(*[run(ECHO, b"%d" % n, b"%d" % m) for m in range(n % 5 + 1)]))
        return [*first, *second]

    async def main() -> None:
        answers = await asyncio.gather(*[converse(n) for n in range(500)])
        for n, answer in enumerate(answers):
            assert answer == [[b"%d" % n], *([b"%d" % n, b"%d" % m] for m in range(n % 5 + 1))]
        assert len(clients(looker, name)) == 1

    in_loop(main())


def test_large_requests_and_replies(driver):
    """More than the socket takes at once, both ways, with others in between."""
    value = os.urandom(8 << 20)

    async def main() -> None:
        large = [driver.run(ask(command(b"ECHO", value))) for _ in range(3)]
        small = [driver.run(ask(command(b"ECHO", b"%d" % n))) for n in range(50)]
        answers = await asyncio.gather(*large, *small)
        assert answers == [[value]] * 3 + [[b"%d" % n] for n in range(50)]

    in_loop(main())


def test_cancelled_conversations_leave_nothing_out_of_step(driver, looker, name):
    """A thousand conversations, half of them cancelled at any point: the others get their own replies."""

    async def one(n: int) -> bytes:
        reply: list[bytes] = []
        for part in range(3):
            reply += await driver.run(ask(command(b"ECHO", b"%d.%d" % (n, part))))
        return b" ".join(reply)

    async def main() -> None:
        await driver.run(ask(command(b"PING")))
        tasks = [asyncio.create_task(one(n)) for n in range(1000)]
        for turn in range(8):
            await asyncio.sleep(0)
            for n in range(turn, 1000, 16):
                tasks[n].cancel()
        cancelled = 0
        for n, answer in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(answer, asyncio.CancelledError):
                cancelled += 1
            else:
                assert answer == b"%d.0 %d.1 %d.2" % (n, n, n)
        assert cancelled > 100
        assert len(clients(looker, name)) == 1

    in_loop(main())


def test_a_call_with_patience_holds_nobody_up(driver, looker, name):
    """A blocking command has a connection of its own, which is used again."""
    key = name.encode()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(driver.run(ask(command(b"BLPOP", key, b"20", patience_s=20))))
            while not looker.info("clients")["blocked_clients"]:
                assert await driver.run(ask(command(b"PING"))) == [b"PONG"]
            await driver.run(ask(command(b"RPUSH", key, b"x")))
        assert waiting.result() == [[key, b"x"]]
        before = clients(looker, name)
        assert len(before) == 2
        looker.rpush(key, b"y")
        assert await driver.run(ask(command(b"BLPOP", key, b"20", patience_s=20))) == [[key, b"y"]]
        assert clients(looker, name) == before

    in_loop(main())


def test_a_cancelled_call_with_patience_does_not_take_what_comes_later(driver, looker, name):
    key = name.encode()

    async def main() -> None:
        waiting = asyncio.create_task(driver.run(ask(command(b"BLPOP", key, b"20", patience_s=20))))
        await await_until(
            lambda: any(c["name"] == name and c["cmd"] == "blpop" for c in looker.client_list())
        )
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await await_until(
            lambda: not any(c["name"] == name and c["cmd"] == "blpop" for c in looker.client_list())
        )
        await driver.run(ask(command(b"RPUSH", key, b"x")))
        assert await driver.run(ask(command(b"LPOP", key))) == [b"x"]

    in_loop(main())


def test_a_killed_connection_is_no_answer_and_then_a_new_connection(driver, looker, name):
    async def main() -> None:
        await driver.run(ask(command(b"PING")))
        (client,) = clients(looker, name)
        # the node executes neither of the last two: it is killed by the first
        kill = [
            command(b"CLIENT", b"KILL", b"ID", client.encode(), b"SKIPME", b"no"),
            *[command(b"PING")] * 2,
        ]
        replies = await driver.run(ask(*kill))
        assert replies[0] == 1
        assert [type(reply) for reply in replies[1:]] == [NoAnswer, NoAnswer]
        assert await driver.run(ask(command(b"PING"))) == [b"PONG"]
        assert client not in clients(looker, name)

    in_loop(main())


def test_a_connection_that_the_node_closed_while_idle_costs_nobody_an_answer(driver, looker, name):
    async def main() -> None:
        await driver.run(ask(command(b"PING")))
        (client,) = clients(looker, name)
        looker.client_kill_filter(_id=client)
        assert await driver.run(ask(command(b"PING"))) == [b"PONG"]

    in_loop(main())


def test_a_node_that_cannot_be_reached_refuses(tmp_path, name):
    sync = SyncDriver(NodeAddress(f"unix://{tmp_path}/nobody.sock"), name=name)
    driver = AsyncDriver(sync, answer_timeout_s=ANSWER_TIMEOUT_S)
    replies = in_loop(driver.run(ask(command(b"PING"), command(b"PING"))))
    assert [type(reply) for reply in replies] == [Refused, Refused]
    assert "nobody.sock" in replies[0].reason


def test_what_connecting_needs_is_done_in_a_thread_once(node, name):
    """Starting the embedded node takes long: the loop goes on meanwhile, and nobody starts it twice."""
    go, began = threading.Event(), []

    def before_connect() -> None:
        began.append(threading.current_thread())
        go.wait(TESTS_LAST_S)

    sync = SyncDriver(NodeAddress(f"unix://{node.socket_path}"), name=name, before_connect=before_connect)
    driver = AsyncDriver(sync, answer_timeout_s=ANSWER_TIMEOUT_S)

    async def main() -> None:
        tasks = [asyncio.create_task(driver.run(ask(command(b"PING")))) for _ in range(20)]
        await await_until(lambda: began)
        tasks[0].cancel()
        await asyncio.sleep(0)
        go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [[b"PONG"]] * 19

    in_loop(main())
    assert len(began) == 1
    assert began[0] is not threading.main_thread()
    driver.close()


def test_a_loop_that_ends_while_connecting_leaves_no_connection(node, looker, name):
    go, began, made = threading.Event(), threading.Event(), []

    class Slow(SyncDriver):
        def connect(self):
            began.set()
            go.wait(TESTS_LAST_S)
            # held here, so that it is not closed just because nobody holds it
            made.append(super().connect())
            return made[0]

    sync = Slow(NodeAddress(f"unix://{node.socket_path}"), name=name)
    driver = AsyncDriver(sync, answer_timeout_s=ANSWER_TIMEOUT_S)

    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        task = asyncio.create_task(driver.run(ask(command(b"PING"))))
        await await_until(began.is_set)
        task.cancel()
        return weakref.ref(asyncio.get_running_loop())

    before = threading.active_count()
    loop = in_loop(main())
    go.set()
    wait_until(lambda: made and threading.active_count() < before + 1, what="the thread has ended")
    wait_until(lambda: not made[0].is_connected, what="its connection is closed")
    wait_until(lambda: not clients(looker, name), what="no connection is left")
    wait_until(lambda: gc.collect() is not None and loop() is None, what="the loop is gone")


def test_one_loop_after_the_other(driver, looker, name):
    """Each has connections of its own, which go with it."""
    for _ in range(3):
        assert in_loop(driver.run(ask(command(b"PING")))) == [b"PONG"]
        wait_until(
            lambda: gc.collect() is not None and not clients(looker, name),
            what="the loop's connection is closed",
        )


def test_a_closed_loop_that_somebody_holds_is_cleared_by_the_next(driver, looker, name):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(driver.run(ask(command(b"PING"))))
    loop.close()
    assert len(clients(looker, name)) == 1

    async def main() -> None:
        await driver.run(ask(command(b"PING")))
        # the node sees a moment later that the other one was closed
        await await_until(lambda: len(clients(looker, name)) == 1)

    in_loop(main())


def test_a_loop_is_not_kept_alive(driver):
    loop = asyncio.new_event_loop()
    alive = weakref.ref(loop)
    task = loop.create_task(driver.run(ask(command(b"BLPOP", b"nothing", b"20", patience_s=20))))
    loop.run_until_complete(driver.run(ask(command(b"PING"))))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    del loop, task

    def gone() -> bool:
        gc.collect()
        return alive() is None

    # the thread that was connecting for the one that was cancelled holds it until it sees that nobody waits
    wait_until(gone, what="the loop is gone")


def test_loops_in_two_threads_at_once(driver):
    async def many(word: bytes) -> None:
        answers = await asyncio.gather(*[driver.run(ask(command(b"ECHO", word))) for _ in range(200)])
        assert answers == [[word]] * 200

    failed: list[BaseException] = []

    def other() -> None:
        try:
            in_loop(many(b"other"))
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=other)
    thread.start()
    in_loop(many(b"main"))
    thread.join(TESTS_LAST_S)
    assert not thread.is_alive()
    assert not failed


def test_closing_from_another_thread_and_going_on(driver, looker, name):
    async def main() -> None:
        await driver.run(ask(command(b"PING")))
        await asyncio.to_thread(driver.close)
        await await_until(lambda: not clients(looker, name))
        assert await driver.run(ask(command(b"PING"))) == [b"PONG"]
        driver.close()

    in_loop(main())
    wait_until(lambda: gc.collect() is not None and not clients(looker, name), what="no connection is left")
