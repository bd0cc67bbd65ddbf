"""Replays one seed and shows every call: `python -m tests.simulation HISTORY SEED [TEXT...]`.

With further words, only calls are shown in which one of them occurs, an id or a child for example.
"""

from __future__ import annotations

import sys

from taskmesh.testing.simulated_network import Executed
from tests.simulation.rates import HISTORIES
from tests.simulation.world import World

LINE_MAX = 400


def main(words: list[str]) -> int:
    """Replay; return 1 if a promise was broken."""
    if len(words) < 2 or words[0] not in HISTORIES or not words[1].isdigit():
        print(f"{__doc__}\nHistories: {', '.join(HISTORIES)}", file=sys.stderr)
        return 2
    world = World(words[0], int(words[1]))

    def show(executed: Executed) -> None:
        what = executed.call.script.name if executed.call.script else "plainly"
        line = (
            f"{world.time.now_s:9.4f} {executed.process:30} {what} {executed.call.args} -> {executed.reply}"
        )
        if not words[2:] or any(word in line for word in words[2:]):
            print(line[:LINE_MAX])

    # before the checkers, so that the call which breaks a promise is the last one shown
    world.network.watchers.insert(0, show)
    print(world.rates)
    world.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
