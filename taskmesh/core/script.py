"""Lua scripts: one file per operation beside its generator, shared parts joined in front.

A file opens with a comment that says its arguments and result, and may name what it needs:

    -- flags: allow-oom
    -- parts: epoch, moves, ready

`moves` is made from the table of states; every other part is `taskmesh/core/parts/<name>.lua`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from taskmesh.core.state import lua_guard


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent to a node.

    Attributes:
        name: `queue.claim` and the like; shown in errors.
        source: The whole text.
        sha: Its SHA-1 in hex, by which the node knows it.
    """

    name: str
    source: bytes
    sha: bytes


def _header(text: str, word: str) -> list[str]:
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        label, _, value = line[2:].strip().partition(":")
        if label == word:
            return [item.strip() for item in value.split(",") if item.strip()]
    return []


def load_script(package: str, name: str) -> Script:
    """Read `<package>/<name>.lua`, join its parts and return the script."""
    text = resources.files(package).joinpath(f"{name}.lua").read_text("utf-8")
    parts = resources.files("taskmesh.core").joinpath("parts")
    flags = _header(text, "flags")
    pieces = ["#!lua" + (" flags=" + ",".join(flags) if flags else "")]
    pieces += [
        lua_guard() if part == "moves" else parts.joinpath(f"{part}.lua").read_text("utf-8")
        for part in _header(text, "parts")
    ]
    pieces.append(text)
    source = "\n".join(pieces).encode()
    return Script(
        name=f"{package.rpartition('.')[2]}.{name}",
        source=source,
        sha=hashlib.sha1(source, usedforsecurity=False).hexdigest().encode(),
    )
