"""Replays one seed and shows every call: `python -m tests.simulation.agreement SEED [--history FILE] [TEXT...]`.

With further words, only calls are shown in which one of them occurs, a register or a process for example. The history
of what clients asked and were answered can be written as JSON lines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmesh.core.steps import Call, Reply
from tests.simulation.agreement.servers import Server
from tests.simulation.agreement.world import Task, World

LINE_MAX = 300


def main(words: Sequence[str] | None = None) -> int:
    """Replay; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.agreement", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("words", nargs="*", metavar="TEXT")
    parser.add_argument("--history", type=Path, metavar="FILE", help="write the history there, as JSON lines")
    asked = parser.parse_args(words)
    world = World(asked.seed)

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
        world.run()
    except AssertionError as broken:
        print(f"BROKEN {broken}")
        return 1
    finally:
        if asked.history:
            with asked.history.open("w") as out:
                world.history.write(out)
    return 0


def _shown(word: bytes) -> str:
    text = word.decode("latin-1") if word.isascii() and len(word) != 32 else f"<{word[:4].hex()}>"
    return "''" if not text else text if text.isprintable() else f"<{len(text)} bytes>"


if __name__ == "__main__":
    sys.exit(main())
