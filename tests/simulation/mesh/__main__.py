"""Replays one seed and shows every call that a node executed: `python -m tests.simulation.mesh SEED [TEXT...]`.

With further words, only calls are shown in which one of them occurs: an id, a node, a script, a process.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from taskmesh.core.steps import Call, Reply
from tests.simulation.mesh.network import Process
from tests.simulation.mesh.server import Server
from tests.simulation.mesh.world import World

LINE_MAX = 400


def main(words: Sequence[str] | None = None) -> int:
    """Replay; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mesh", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("words", nargs="*", metavar="TEXT")
    asked = parser.parse_intermixed_args(words)
    world = World(asked.seed)

    def show(server: Server, process: Process, call: Call, reply: Reply) -> None:
        name = call.script.name if call.script is not None else "command"
        args = " ".join(_shown(word) for word in call.args)
        line = (
            f"{world.network.now_s:8.4f} {process.name:9} {server.address} {name} {args} -> {_shown(reply)}"
        )
        if not asked.words or any(word in line for word in asked.words):
            print(line[:LINE_MAX])

    # before the checkers, so that the call which breaks a promise is shown as well
    world.network.watchers.insert(0, show)
    print(world.rates)
    try:
        world.run()
    except AssertionError as broken:
        print(f"BROKEN {broken}")
        return 1
    return 0


def _shown(word: Any) -> str:
    if isinstance(word, list):
        return f"[{' '.join(_shown(each) for each in word)}]"
    if not isinstance(word, bytes):
        return str(word)
    text = word.decode("latin-1")
    return "''" if not text else text if text.isprintable() else f"<{len(text)} bytes>"


if __name__ == "__main__":
    sys.exit(main())
