"""Lua scripts: one file per operation beside its generator, shared parts joined in front.

A file opens with a comment that says its arguments and result, and may name what it needs:

    -- flags: allow-oom
    -- parts: epoch, moves, ready

What names the part `epoch` becomes a function between that and the part `changes`, which has it tell what it changed
where several nodes make the mesh. `moves` is made from the table of states; every other part is
`taskmesh/core/parts/<name>.lua`. What a leader does is the same script as anybody's, *fenced*: it has the part `fence`
behind `epoch`, and the leader's token as its third argument.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib import import_module

from taskmesh.core.state import lua_guard


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent to a node.

    Attributes:
        name: `queue.claim` and the like; shown in errors.
        source: The whole text.
        sha: Its SHA-1 in hex, by which the node knows it.
        checks_epoch: Whether its first two arguments are the caller's epoch and time.
    """

    name: str
    source: bytes
    sha: bytes
    checks_epoch: bool = False


def _header(text: str, word: str) -> list[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        label, _, value = line[2:].strip().partition(":")
        if label == word:
            return [item.strip() for item in value.split(",") if item.strip()]
    return []


def _read(package: str, *path: str) -> str:
    """Read a file of a package through its loader. `importlib.resources` costs 15 ms to import."""
    module = import_module(package)
    spec = module.__spec__
    if spec is None or spec.origin is None or spec.loader is None or not hasattr(spec.loader, "get_data"):
        raise ImportError(f"the scripts of {package} cannot be read: it has no loader that reads files")
    data: bytes = spec.loader.get_data(os.path.join(os.path.dirname(spec.origin), *path))  # noqa: PTH118, PTH120 - pathlib costs as much
    return data.decode()


def _part(name: str) -> str:
    return lua_guard() if name == "moves" else _read("taskmesh.core", "parts", f"{name}.lua")


def load_script(package: str, name: str, *, fenced: bool = False) -> Script:
    """Read `<package>/<name>.lua`, join its parts and return the script.

    Args:
        package: Where it stands.
        name: Of the file.
        fenced: Whether it obeys leaders only, and none with an older token than the node knows.
    """
    text = _read(package, f"{name}.lua")
    flags = _header(text, "flags")
    parts = _header(text, "parts")
    if fenced:
        parts.insert(parts.index("epoch") + 1, "fence")
    pieces = ["#!lua" + (" flags=" + ",".join(flags) if flags else "")]
    checks_epoch = "epoch" in parts or "copies" in parts
    if "epoch" in parts:
        parts.remove("epoch")
        pieces += [_part("epoch"), "local function main()", *map(_part, parts), text, "end"]
        pieces += ["if string.byte(EPOCH) ~= 102 then return main() end", _part("changes")]
    else:
        pieces += [*map(_part, parts), text]
    source = "\n".join(pieces).encode()
    return Script(
        name=f"{package.rpartition('.')[2]}.{name}{' (fenced)' if fenced else ''}",
        source=source,
        sha=hashlib.sha1(source, usedforsecurity=False).hexdigest().encode(),
        checks_epoch=checks_epoch,
    )
