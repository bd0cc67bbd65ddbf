"""The scripts of an acceptor on a real server: the same table of cases, the same random steps as the model."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import hiredis
import pytest

from taskmesh.testing.simulated_node import SimulatedError
from tests.faults.server import Server
from tests.unit.consensus.acceptors import PREFIX, ModelAcceptor, ScriptAcceptor
from tests.unit.consensus.cases import CASES, READY, accept, check, peek
from tests.unit.consensus.random_steps import compare

pytestmark = pytest.mark.needs_server
SEEDS, STEPS = range(1000, 1004), 1000


class RealNode:
    """A plain connection, which sees replies as they come."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._reader = hiredis.Reader(replyError=SimulatedError)

    def call(self, words: Sequence[bytes]) -> Any:
        """Send one command and return its reply."""
        self._socket.sendall(hiredis.pack_command(tuple(words)))
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 16))
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here."""
    server = Server(tmp_path_factory.mktemp("acceptor"))
    yield server
    server.kill()


@pytest.fixture
def node(server: Server) -> Iterator[RealNode]:
    """A connection to the emptied server."""
    node = RealNode(server)
    node.call([b"FLUSHALL"])
    yield node
    node.call([b"CONFIG", b"SET", b"maxmemory", b"0"])
    node.close()


@pytest.mark.parametrize("case", CASES)
def test_acceptor_answers(node: RealNode, case: str) -> None:
    check(ScriptAcceptor(node), CASES[case])


def test_random_steps_have_the_same_answers(node: RealNode) -> None:
    """Whatever happens to the server: full memory and forgotten scripts make no difference."""

    def disturb(random: Random) -> None:
        node.call([b"CONFIG", b"SET", b"maxmemory", random.choice((b"0", b"1"))])
        if random.random() < 0.5:
            node.call([b"SCRIPT", b"FLUSH"])

    for seed in SEEDS:
        node.call([b"CONFIG", b"SET", b"maxmemory", b"0"])
        node.call([b"FLUSHALL"])
        compare(seed, STEPS, ModelAcceptor(), ScriptAcceptor(node), disturb)


def test_full_memory_stops_no_decision(node: RealNode) -> None:
    """Or a full queue would prevent the very leader that is to empty it."""
    node.call([b"CONFIG", b"SET", b"maxmemory", b"1"])
    assert isinstance(node.call([b"SET", b"k", b"v"]), SimulatedError)
    check(ScriptAcceptor(node), [*READY, accept(b"1", b"1", b"v" * 50_000, b"ACCEPTED")])


def test_no_locale_and_no_time_zone_matters(node: RealNode, tmp_path: Path) -> None:
    """Lua compares texts as the C library does, which has an order of its own in each locale; ballots are numbers."""
    installed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()
    other = next((name for name in installed if name not in ("C", "POSIX")), "C")
    server = Server(tmp_path, env={"LC_ALL": other, "LANG": other, "TZ": "Pacific/Kiritimati"})
    try:
        elsewhere = RealNode(server)
        compare(5, STEPS, ScriptAcceptor(node), ScriptAcceptor(elsewhere), lambda _: None)
        elsewhere.close()
    finally:
        server.kill()


def test_a_server_that_was_killed_is_silent_until_it_is_admitted(tmp_path: Path) -> None:
    """It comes back as another process, with all that it had written."""
    server = Server(tmp_path, fsync="always")
    try:
        node = RealNode(server)
        acceptor = ScriptAcceptor(node)
        check(acceptor, [*READY, accept(b"1", b"1", b"v", b"ACCEPTED")])
        before = acceptor.run
        node.close()
        server.kill()
        server.start()
        node = RealNode(server)
        acceptor = ScriptAcceptor(node)
        assert acceptor.run != before
        assert acceptor.call("consensus.peek", [b"i1", b"1", b"r"]) == [b"NOTADMITTED", before]
        back = [b"i1", before, b"2", b"boot", acceptor.run]
        assert acceptor.call("consensus.admit", back) == [b"ADMITTED", b"2"]
        check(acceptor, [peek(b"ACCEPTED", b"1", b"1", b"digest of v", b"v")])
        assert node.call([b"TTL", PREFIX + b"ac:1:r:r"]) == -1
        node.close()
    finally:
        server.kill()
