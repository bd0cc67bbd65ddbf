"""The servers that tests of several nodes are given."""

from __future__ import annotations

import socket

import pytest
from redis.exceptions import RedisError

from tests.faults.server import PARTS, PORTS, free_port
from tests.support import wait_until


def run_id(server):
    with server.client() as client:
        return client.info("server")["run_id"]


def test_each_has_a_life_and_a_disk_of_its_own(three_nodes):
    assert len(set(three_nodes.urls)) == len(three_nodes) == 3
    for at, server in enumerate(three_nodes):
        with server.client() as client:
            client.set("name", at)
    before = [run_id(server) for server in three_nodes]

    three_nodes.kill(0)
    with pytest.raises(RedisError), three_nodes[0].client() as client:
        client.ping()
    three_nodes.start(0)
    three_nodes.kill(1)
    three_nodes.start(1, empty=True)

    names = []
    for server in three_nodes:
        with server.client() as client:
            names.append(client.get("name"))
    assert names == [b"0", None, b"2"]
    after = [run_id(server) for server in three_nodes]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True]


def test_no_port_is_given_twice_nor_one_that_a_connection_may_have():
    """Where nobody listens for a moment another would have it, or a caller be connected with himself."""
    ports = {free_port() for _ in range(200)}
    assert len(ports) == 200
    assert ports <= set(PORTS)
    with socket.socket() as connecting:
        connecting.bind(("127.0.0.1", 0))
        assert connecting.getsockname()[1] not in PORTS
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", min(ports)))
        assert all(free_port() != min(ports) for _ in range(len(PORTS) // PARTS + 1))


def test_one_stands_still_until_it_goes_on(three_nodes):
    with three_nodes[2].client() as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.1
        three_nodes.stop(2)
        with pytest.raises(RedisError, match=r"[Tt]imeout"):
            client.ping()
        three_nodes.go_on(2)
    wait_until(lambda: run_id(three_nodes[2]))
