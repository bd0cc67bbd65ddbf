"""Replays one seed and shows every call: `python -m tests.simulation.agreement SEED [--export FILE] [TEXT...]`.

With further words, only calls are shown in which one of them occurs, a register or a process for example. The history
of what clients asked and were answered can be written as JSON lines. With `--of` it is a seed of semaphores, elections
or files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmesh.core.steps import Call, Reply
from tests.simulation.agreement.servers import Server
from tests.simulation.agreement.world import Task, World
from tests.simulation.coordination.many_seeds import KINDS, unlogged
from tests.simulation.coordination.world import CoordinationWorld

LINE_MAX = 300


def main(words: Sequence[str] | None = None) -> int:
    """Replay; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.agreement", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("words", nargs="*", metavar="TEXT")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the history there, as JSON lines")
    parser.add_argument("--of", choices=KINDS, help="a seed of these, instead of registers")
    asked = parser.parse_intermixed_args(words)
    if asked.of and asked.export:
        parser.error("what is exported are operations on registers: leave --of away")
    world = CoordinationWorld(asked.seed, KINDS[asked.of]) if asked.of else World(asked.seed)

    def show(now_s: float, task: Task, server: Server, call: Call, reply: Reply) -> None:
        args = " ".join(_shown(word) for word in call.args)
        answer = " ".join(_shown(word) for word in reply)
        script = call.script.name.partition(".")[2] if call.script else ""
        line = f"{now_s:8.4f} {task.name:22} {server.address} {script:8} {args} -> {answer}"
        if not asked.words or any(word in line for word in asked.words):
            print(line[:LINE_MAX])

    world.watchers.append(show)
    print(world.rates)
    try:
        with unlogged():
            world.run()
    except AssertionError as broken:
        print(f"BROKEN {broken}")
        return 1
    finally:
        if asked.export:
            with asked.export.open("w") as out:
                world.history.write(out)
    return 0


def _shown(word: bytes) -> str:
    text = word.decode("latin-1") if word.isascii() and len(word) != 32 else f"<{word[:4].hex()}>"
    return "''" if not text else text if text.isprintable() else f"<{len(text)} bytes>"


if __name__ == "__main__":
    sys.exit(main())
