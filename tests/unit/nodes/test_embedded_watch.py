"""What the guardian concludes from what its server says."""

from __future__ import annotations

import fnmatch
import time

import pytest

from taskmesh.nodes import embedded_watch
from taskmesh.nodes.embedded_files import NodePaths
from taskmesh.nodes.embedded_order import Order
from taskmesh.nodes.embedded_watch import Watch


class Server:
    """Stands in for a connection: answers from a dict, and counts clients as it is told."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.others = 0
        self.received = 1
        self.used = 0
        self.calls: list[str] = []

    def call(self, *words):
        self.calls.append(words[0])
        match words:
            case ("INFO", *_):
                return (
                    b"# Memory\r\nused_memory:%d\r\nused_memory_human:1M\r\nconnected_clients:%d\r\n"
                    b"total_connections_received:%d\r\nrole:master\r\n"
                    % (self.used, self.others + 1, self.received)
                )
            case ("GET", key):
                return self.keys.get(key)
            case ("EVAL", _, "1", key, value):
                self.keys[key] = value.encode()
                return b"OK"
            case ("SCAN", cursor, "MATCH", pattern, "COUNT", count):
                names, start = sorted(self.keys), int(cursor)
                end = start + int(count)
                found = [name.encode() for name in names[start:end] if fnmatch.fnmatchcase(name, pattern)]
                return [b"%d" % end if end < len(names) else b"0", found]
        raise AssertionError(words)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


def watch_of(server, *, idle_s: float = 600.0) -> Watch:
    order = Order(
        mesh="shop",
        prefix="tm:shop:",
        server="",
        paths=NodePaths("/nowhere"),
        durability="process",
        maxmemory=1000,
        idle_s=idle_s,
        owner_fd=-1,
        report_fd=-1,
    )
    return Watch(order, server)


def test_the_epoch_is_the_generation_and_the_first_view(server):
    assert watch_of(server).write_epoch(0x1F) == 0x1F
    assert server.keys == {"tm:shop:epoch": b"0000001f0001"}


@pytest.mark.parametrize(("known", "given", "used"), [(4, 5, 5), (5, 5, 6), (9, 5, 10)])
def test_a_generation_that_the_data_knows_is_not_used_again(server, known, given, used):
    server.keys["tm:shop:epoch"] = b"%08x0007" % known
    assert watch_of(server).write_epoch(given) == used
    assert server.keys["tm:shop:epoch"] == b"%08x0001" % used


def test_a_node_is_idle_after_its_time_without_clients(server, clock):
    watch = watch_of(server)
    watch.look()
    assert not watch.is_idle()
    for after_s, idle in ((599.0, False), (1.0, True)):
        clock.now_s += after_s
        watch.look()
        assert watch.is_idle() == idle


def test_a_client_puts_it_off(server, clock):
    watch = watch_of(server)
    watch.look()
    watch.is_idle()
    clock.now_s += 599.0
    server.others, server.received = 1, 2
    watch.look()
    assert not watch.is_idle()
    clock.now_s += 3600.0
    watch.look()
    assert not watch.is_idle()  # still connected
    server.others = 0
    watch.look()
    assert watch.is_idle() is False or watch.nobody_came()


def test_a_client_that_came_and_went_between_two_looks_puts_it_off(server, clock):
    watch = watch_of(server)
    watch.look()
    watch.is_idle()
    clock.now_s += 599.0
    server.received += 1
    watch.look()
    assert not watch.is_idle()
    clock.now_s += 599.0
    watch.look()
    assert not watch.is_idle()
    clock.now_s += 1.0
    watch.look()
    assert watch.is_idle()


def test_a_private_node_is_never_idle(server, clock):
    watch = watch_of(server, idle_s=0.0)
    clock.now_s += 1e9
    watch.look()
    assert not watch.is_idle()


@pytest.mark.parametrize(
    ("key", "live"),
    [
        ("tm:shop:L:17", True),
        ("tm:shop:q:mail:5", False),  # a hint alone may be stale
        ("tm:shop:r:an-id", False),
        ("tm:shop:queues", False),
        ("tm:shop:x:q:5", False),
        ("tm:other:L:17", False),
    ],
)
def test_what_counts_as_a_live_message(server, key, live):
    server.keys = {"tm:shop:epoch": b"", key: b""}
    assert watch_of(server).has_live_messages() is live


def test_a_long_search_is_done_in_parts(server, monkeypatch):
    monkeypatch.setattr(embedded_watch, "SCAN_CALLS_PER_LOOK", 2)
    monkeypatch.setattr(embedded_watch, "SCAN_COUNT", 10)
    server.keys = {f"tm:shop:r:{number:03}": b"" for number in range(45)}
    watch = watch_of(server)
    assert [watch.has_live_messages() for _ in range(3)] == [None, None, False]
    assert [watch.has_live_messages() for _ in range(3)] == [None, None, False]
    server.keys["tm:shop:zzz"] = b""
    server.keys["tm:shop:L:17"] = b""  # sorts before the records
    assert watch.has_live_messages() is True


def test_an_answer_that_is_none_is_a_broken_connection(server):
    watch = watch_of(server)
    server.call = lambda *_words: 7
    with pytest.raises(ConnectionError, match="INFO"):
        watch.look()
    with pytest.raises(ConnectionError, match="SCAN"):
        watch.has_live_messages()
