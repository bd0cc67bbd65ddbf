"""A node in memory: the real Lua scripts, real commands, no server, no clock and no network.

It answers, call by call, what a Valkey server would (`tests/integration/test_simulated_node.py` compares the
two), and it can be broken at will: crash and restart, an older disk, an emptied disk, full memory.

    node = SimulatedNode()
    node.call((b"RPUSH", b"line", b"a"))                      # 1
    node.eval(b"return redis.call('LPOP', KEYS[1])", [b"line"])   # b"a"

What it does not do: expiry of keys, blocking (`BLPOP` answers at once), transactions, several databases. A
command or option which it does not know raises `NotSimulated`: a script cannot catch that and go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TypeAlias

from taskmesh.testing.lua_runtime import (
    OOM,
    BadScript,
    CompiledScript,
    LuaRuntime,
    NodeReply,
    SimulatedError,
    may_be_real,
    shared_runtime,
)
from taskmesh.testing.node_commands import COMMANDS
from taskmesh.testing.node_commands.numbers import parse_int
from taskmesh.testing.node_commands.values import (
    CommandError,
    NodeState,
    NotSimulated,
    Value,
    wrong_arguments,
)

Word: TypeAlias = bytes | str | int | float
Sink: TypeAlias = Callable[[bytes, bytes], None]

MEMORY_BYTES_MAX = 1 << 30
FIRST_VIEW = b"0001"


class NodeIsDown(Exception):
    """A call to a simulated node that has crashed and was not restarted."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node's disk at one moment."""

    values: dict[bytes, Value]


class SimulatedNode:
    """One node of a mesh, in memory.

    Attributes:
        name: The node's name, for error texts.
        generation: How many times the node was started; the high part of the epoch that `set_epoch` writes.
        running: False between `crash()` and `restart()`.
    """

    def __init__(
        self,
        name: str = "node",
        *,
        seed: int = 0,
        clock_us: Callable[[], int] = lambda: 0,
        runtime: LuaRuntime | None = None,
    ) -> None:
        """Make an empty node.

        Args:
            name: For error texts.
            seed: For what the node draws at random (`SPOP`, `SRANDMEMBER`) and for its run id.
            clock_us: The node's wall clock, in microseconds since 1970.
            runtime: The Lua state to run scripts in; by default the one which all nodes here share.
        """
        self.name = name
        self.generation = 1
        self.running = True
        self._random = Random(f"{name}/{seed}")  # noqa: S311 - to be repeated, not to be secret
        self._runtime = runtime if runtime is not None else shared_runtime()
        self._known: dict[bytes, CompiledScript] = {}
        self._sinks: dict[bytes, list[Sink]] = {}
        self._full = False
        self._state = NodeState({}, self._random, clock_us, self._publish, {})
        self._describe()

    @property
    def values(self) -> dict[bytes, Value]:
        """The keyspace itself, for checkers; only `call` and the scripts should change it."""
        return self._state.values

    # Calls

    def call(self, words: Sequence[Word]) -> NodeReply:
        """Run one command and return its reply, an error reply as `SimulatedError`.

        Args:
            words: The command's name and its arguments; text and numbers go as the client library sends them.

        Raises:
            NodeIsDown: The node has crashed.
            NotSimulated: The command, or an option of it, is not known here.
        """
        if not self.running:
            raise NodeIsDown(self.name)
        argv = _encode(words)
        name = argv[0].upper()
        try:
            if name in (b"EVAL", b"EVALSHA"):
                return self._eval_command(argv, by_digest=name == b"EVALSHA")
            if name == b"SCRIPT":
                return self._script_command(argv)
            return self._run_command(name, argv)
        except CommandError as error:
            return SimulatedError(error.text)

    def eval(
        self, source: bytes | str, keys: Sequence[Word] = (), arguments: Sequence[Word] = ()
    ) -> NodeReply:
        """Run a script by its source."""
        text = source.encode() if isinstance(source, str) else source
        try:
            return self._run_script(self._load(text), _encode(keys), _encode(arguments))
        except CommandError as error:
            return SimulatedError(error.text)

    def evalsha(
        self, digest: bytes | str, keys: Sequence[Word] = (), arguments: Sequence[Word] = ()
    ) -> NodeReply:
        """Run a script that this node has been given since it was started, by its SHA-1."""
        script = self._known.get((digest.encode() if isinstance(digest, str) else digest).lower())
        if script is None:
            return SimulatedError("NOSCRIPT No matching script.")
        return self._run_script(script, _encode(keys), _encode(arguments))

    def subscribe(self, channel: bytes, sink: Sink) -> Callable[[], None]:
        """Have `sink(channel, message)` called for what is published there; return what ends it."""
        sinks = self._sinks.setdefault(channel, [])
        sinks.append(sink)

        def unsubscribe() -> None:
            if sink in sinks:
                sinks.remove(sink)

        return unsubscribe

    # Faults

    def snapshot(self) -> Snapshot:
        """Return the disk as it is now."""
        return Snapshot(_copy(self._state.values))

    def restore(self, snapshot: Snapshot) -> None:
        """Put an earlier disk in place of the present one."""
        self._state.values = _copy(snapshot.values)

    def wipe(self) -> None:
        """Forget everything on the disk."""
        self._state.values = {}

    def crash(self) -> None:
        """Stop answering. Subscriptions and loaded scripts are gone; the disk stays."""
        self.running = False
        self._sinks.clear()
        self._known.clear()

    def restart(self) -> None:
        """Start again, with whatever the disk holds, as a new run in a new generation."""
        if self.running:
            self.crash()
        self.running = True
        self.generation += 1
        self._describe()

    def set_epoch(self, prefix: bytes) -> bytes:
        """Write this generation's epoch, as the embedded node's guardian does at each start; return it."""
        epoch = b"%08x" % self.generation + FIRST_VIEW
        self._state.values[prefix + b"epoch"] = epoch
        return epoch

    def set_memory_full(self, *, full: bool) -> None:
        """Refuse what needs memory, as a node at its cap does; scripts with `allow-oom` still run."""
        self._full = full
        self._describe()

    # Inside

    def _run_command(self, name: bytes, argv: Sequence[bytes]) -> NodeReply:
        command = COMMANDS.get(name)
        if command is None:
            if may_be_real(name):
                raise NotSimulated(f"the command {name.decode('utf-8', 'replace')}")
            return SimulatedError(f"ERR unknown command '{argv[0].decode()}'")
        if not command.fewest <= len(argv) <= command.most:
            raise wrong_arguments(name.decode().lower())
        if self._full and command.grows:
            return SimulatedError(OOM)
        return command.function(self._state, argv)  # type: ignore[return-value]

    def _eval_command(self, argv: Sequence[bytes], *, by_digest: bool) -> NodeReply:
        if len(argv) < 3:
            raise wrong_arguments(argv[0].decode().lower())
        key_count = parse_int(argv[2])
        if key_count > len(argv) - 3:
            return SimulatedError("ERR Number of keys can't be greater than number of args")
        if key_count < 0:
            return SimulatedError("ERR Number of keys can't be negative")
        keys, arguments = argv[3 : 3 + key_count], argv[3 + key_count :]
        return self.evalsha(argv[1], keys, arguments) if by_digest else self.eval(argv[1], keys, arguments)

    def _script_command(self, argv: Sequence[bytes]) -> NodeReply:
        what = argv[1].upper() if len(argv) > 1 else b""
        if what == b"LOAD" and len(argv) == 3:
            self._load(argv[2])
            return self._runtime.script(argv[2])[0].encode()
        if what == b"EXISTS" and len(argv) > 2:
            return [int(digest.lower() in self._known) for digest in argv[2:]]
        if what == b"FLUSH" and len(argv) == 2:
            self._known.clear()
            return b"OK"
        raise NotSimulated(f"SCRIPT {what.decode('utf-8', 'replace')} with {len(argv) - 2} arguments")

    def _load(self, source: bytes) -> CompiledScript:
        try:
            digest, script = self._runtime.script(source)
        except BadScript as error:
            raise CommandError(error.text) from None
        self._known[digest.encode()] = script
        return script

    def _run_script(
        self, script: CompiledScript, keys: Sequence[bytes], arguments: Sequence[bytes]
    ) -> NodeReply:
        if not self.running:
            raise NodeIsDown(self.name)
        return self._runtime.run(self._state, script, keys, arguments, full=self._full)

    def _publish(self, channel: bytes, message: bytes) -> int:
        sinks = tuple(self._sinks.get(channel, ()))
        for sink in sinks:
            sink(channel, message)
        return len(sinks)

    def _describe(self) -> None:
        used = MEMORY_BYTES_MAX + 1 if self._full else MEMORY_BYTES_MAX // 2
        self._state.info = {
            "redis_version": "7.2.4",
            "server_name": "valkey",
            "valkey_version": "9.1.2",
            "run_id": blake2b(f"{self.name}/{self.generation}".encode(), digest_size=20).hexdigest(),
            "used_memory": str(used),
            "maxmemory": str(MEMORY_BYTES_MAX),
            "maxmemory_policy": "noeviction",
            "role": "master",
        }


def _copy(values: dict[bytes, Value]) -> dict[bytes, Value]:
    return {key: value if isinstance(value, bytes) else value.copy() for key, value in values.items()}


def _encode(words: Sequence[Word]) -> list[bytes]:
    """Return the words as the client library would put them on the wire."""
    return [word if isinstance(word, bytes) else _encode_word(word) for word in words]


def _encode_word(word: str | float) -> bytes:
    if isinstance(word, str):
        return word.encode()
    return b"%d" % word if isinstance(word, int) else repr(word).encode()
