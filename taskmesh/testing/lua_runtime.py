"""Runs the project's real Lua scripts in this process, as a Valkey or Redis node would.

One Lua state serves any number of simulated nodes: before a run it is told whose keyspace the commands of
the script work on. A command crosses from Lua to Python once, with its words as byte strings; a reply comes
back as one value, or as one string in the wire's own notation, which `hiredis` reads as for the real drivers.

The Lua side (the `redis` table, protected globals, how values become replies) is `lua_prelude.lua`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, TypeAlias

import hiredis
from lupa import lua51

from taskmesh.testing.node_commands import COMMANDS
from taskmesh.testing.node_commands.numbers import format_number
from taskmesh.testing.node_commands.values import CommandError, NodeState, NotSimulated, Reply, Status

OOM = "OOM command not allowed when used memory > 'maxmemory'."
READ_ONLY = "ERR Write commands are not allowed from read-only scripts."
NOT_FROM_SCRIPT = "ERR This Valkey command is not allowed from script"
UNKNOWN_COMMAND = "ERR Unknown command called from script"
WRONG_ARGUMENTS = "ERR Wrong number of args calling command from script"
WRONG_TYPES = "ERR Command arguments must be strings or integers"
NO_ARGUMENTS = "ERR Please specify at least one argument for this call"

# Lua 5.1 takes at most 8,000 values in a row across the border to Python.
_ROW_MAX = 4_000
#: Whole numbers below this are printed digit by digit by Lua, by a node and by Python alike.
_PLAIN_MAX = 2**53
_ERR, _OK = b"err", b"ok"
_OUTSIDE_SCRIPTS = frozenset({b"EVAL", b"EVALSHA", b"SUBSCRIBE", b"SCRIPT"})
_FLAGS = {"allow-oom", "no-writes", "allow-stale", "no-cluster", "allow-cross-slot-keys"}


@dataclass(frozen=True, slots=True)
class SimulatedError:
    """An error reply of a simulated node."""

    text: str


NodeReply: TypeAlias = "bytes | int | SimulatedError | list[NodeReply] | None"


@dataclass(frozen=True, slots=True)
class CompiledScript:
    """A script ready to run.

    Attributes:
        chunk: The Lua function.
        flags: The flags of its first line, or None where there is no such line: then commands that need
            memory are refused one by one when the node is full.
    """

    chunk: Any
    flags: frozenset[str] | None


class BadScript(Exception):
    """A script that does not compile; `text` is the node's error reply."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class LuaRuntime:
    """One Lua state with the API of a node, and the scripts compiled in it."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(
            encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False
        )
        # by source: to hash it takes longer than to look it up
        self._scripts: dict[bytes, tuple[str, CompiledScript]] = {}
        # A reply, not an exception: it can stand inside an array.
        as_reply: Any = SimulatedError
        self._replies = hiredis.Reader(replyError=as_reply)
        self._not_simulated: NotSimulated | None = None
        self._state: NodeState | None = None
        self._refuses_growth = self._refuses_writes = False
        prelude = Path(__file__).with_name("lua_prelude.lua").read_bytes()
        parts = self._lua.execute(prelude, self._make_dispatch(), lambda text: _sha1(text).encode())
        self._compile, self._run, self._run_packed = parts

    def script(self, source: bytes) -> tuple[str, CompiledScript]:
        """Compile `source` unless it was before; return its SHA-1 in hex, and the script.

        Raises:
            BadScript: It does not compile, or its first line is not understood.
        """
        known = self._scripts.get(source)
        if known is None:
            flags, body = _split_flags(source)
            # More than one value comes back as a tuple: no function, and the reason.
            result = self._compile(body)
            if isinstance(result, tuple):
                raise BadScript(
                    f"ERR Error compiling script (new function): {result[1].decode('utf-8', 'replace')}"
                )
            known = self._scripts[source] = _sha1(source), CompiledScript(result, flags)
        return known

    def run(
        self,
        state: NodeState,
        script: CompiledScript,
        keys: Sequence[bytes],
        arguments: Sequence[bytes],
        *,
        full: bool,
    ) -> NodeReply:
        """Run `script` on a node's state.

        Args:
            state: The node's keyspace and kin.
            script: From `script()`.
            keys: `KEYS`.
            arguments: `ARGV`.
            full: The node is out of memory.

        Raises:
            NotSimulated: The script used something which the simulated node does not know.
        """
        flags = script.flags
        if full and flags is not None and not flags & {"allow-oom", "no-writes"}:
            return SimulatedError(OOM)
        self._state = state
        self._refuses_growth = full and (flags is None or "allow-oom" not in flags)
        self._refuses_writes = flags is not None and "no-writes" in flags
        self._not_simulated = None
        if len(keys) + len(arguments) < _ROW_MAX:
            result = self._run(script.chunk, len(keys), *keys, *arguments)
        else:
            tables = self._lua.table_from(keys), self._lua.table_from(arguments)
            result = self._run_packed(script.chunk, *tables)
        if self._not_simulated is not None:
            raise self._not_simulated
        if isinstance(result, tuple):
            kind, detail = result
            return self._read(detail) if kind else SimulatedError(_text_of(detail))
        return result  # type: ignore[no-any-return]

    def _read(self, wire: bytes) -> NodeReply:
        self._replies.feed(wire)
        return self._replies.gets()  # type: ignore[no-any-return]

    def _make_dispatch(self) -> Callable[..., Any]:
        """Return the function which runs one command of a script; `answer` in the prelude reads its reply."""
        commands = dict(COMMANDS)
        commands.update({name.lower(): command for name, command in COMMANDS.items()})
        find = commands.get
        table_from = self._lua.table_from

        def dispatch(*words: Any) -> Any:
            argv: Sequence[bytes] = words
            if not words:
                return False, _ERR, NO_ARGUMENTS.encode()
            for word in words:
                if type(word) is not bytes:
                    text = _as_text(words)
                    if text is None:
                        return False, _ERR, WRONG_TYPES.encode()
                    argv = text
                    break
            command = find(argv[0])
            if command is None:
                command = find(argv[0].upper())
                if command is None:
                    return self._unknown(argv[0])
            if not command.fewest <= len(argv) <= command.most:
                return False, _ERR, WRONG_ARGUMENTS.encode()
            if command.writes:
                if self._refuses_growth and command.grows:
                    return False, _ERR, OOM.encode()
                if self._refuses_writes:
                    return False, _ERR, READ_ONLY.encode()
                # Once it has written, a script is let through: half of it must not be lost.
                self._refuses_growth = False
            elif command.spreads and self._refuses_writes:
                return False, _ERR, READ_ONLY.encode()
            try:
                reply = command.function(self._state, argv)  # type: ignore[arg-type]
            except CommandError as error:
                return False, _ERR, error.text.encode()
            except NotSimulated as error:
                self._not_simulated = error
                return False, _ERR, str(error).encode()
            if type(reply) is bytes or type(reply) is int or reply is None:
                return reply
            if isinstance(reply, Status):
                return False, _OK, bytes(reply)
            return _array(reply, table_from)

        return dispatch

    def _unknown(self, name: bytes) -> tuple[bool, bytes, bytes]:
        if name.upper() in _OUTSIDE_SCRIPTS:
            return False, _ERR, NOT_FROM_SCRIPT.encode()
        if may_be_real(name):
            self._not_simulated = NotSimulated(f"the command {name!r}")
        return False, _ERR, UNKNOWN_COMMAND.encode()


def may_be_real(name: bytes) -> bool:
    """Tell whether a real node might know a command which is not simulated.

    Then it must be simulated before it is used. Only what is certainly invented gets the node's own answer.
    """
    return name.isalpha() and name.upper() != b"NOSUCHCOMMAND"


def _array(reply: Any, table_from: Callable[[list[Any]], Any]) -> Any:
    items = [_item(item, table_from) for item in reply]
    return (True, *items) if len(items) < _ROW_MAX else table_from(items)


def _item(item: Reply, table_from: Callable[[list[Any]], Any]) -> Any:
    """Return an item of an array as Lua is to see it: False for nil, so that the array does not end there."""
    if isinstance(item, list):
        return table_from([_item(inner, table_from) for inner in item])
    return False if item is None else item


def _as_text(words: tuple[Any, ...]) -> list[bytes] | None:
    """Print the numbers among the words of a call; None if one is neither text nor a number."""
    argv: list[bytes] = []
    for word in words:
        if type(word) is bytes:
            argv.append(word)
        elif type(word) is int and -_PLAIN_MAX < word < _PLAIN_MAX:
            argv.append(b"%d" % word)
        elif isinstance(word, (int, float)) and not isinstance(word, bool):
            argv.append(format_number(word))
        else:
            return None
    return argv


def _split_flags(source: bytes) -> tuple[frozenset[str] | None, bytes]:
    """Take a script's first line `#!lua flags=...` off, but keep it as a line: numbers of lines stay true."""
    if not source.startswith(b"#!"):
        return None, source
    first, newline, rest = source.partition(b"\n")
    if not newline:
        raise BadScript("ERR Invalid script shebang")
    engine, *options = first[2:].decode("utf-8", "replace").split()
    if engine != "lua":
        raise BadScript(f"ERR Could not find scripting engine '{engine}'")
    flags: set[str] = set()
    for option in options:
        name, equals, value = option.partition("=")
        if name != "flags" or not equals:
            raise BadScript(f"ERR Unknown lua shebang option: {option}")
        flags.update(filter(None, value.split(",")))
    for flag in flags - _FLAGS:
        raise BadScript(f"ERR Unexpected flag in script shebang: {flag}")
    return frozenset(flags), newline + rest


def _text_of(problem: Any) -> str:
    if isinstance(problem, bytes):
        return problem.decode("utf-8", "replace")
    raise TypeError(f"a script raised something that is not an error of its own: {problem!r}")


def _sha1(text: bytes) -> str:
    return sha1(text, usedforsecurity=False).hexdigest()


@cache
def shared_runtime() -> LuaRuntime:
    """Return the Lua state which the simulated nodes of this process share."""
    return LuaRuntime()
