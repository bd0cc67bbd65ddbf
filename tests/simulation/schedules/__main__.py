"""Replays one seed and shows every call: `python -m tests.simulation.schedules SEED [TEXT...]`.

With further words, only calls are shown in which one of them occurs, a schedule or a leader for example.
"""

from __future__ import annotations

import sys

from taskmesh.testing.simulated_network import Executed
from tests.simulation.schedules.world import World

LINE_MAX = 400


def main(words: list[str]) -> int:
    """Replay; return 1 if a promise was broken, by the error that says so."""
    if not words or not words[0].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    world = World(int(words[0]))

    def show(executed: Executed) -> None:
        what = executed.call.script.name if executed.call.script else "plainly"
        line = (
            f"{world.time.now_s:9.4f} {executed.process:10} {what} {executed.call.args} -> {executed.reply}"
        )
        if not words[1:] or any(word in line for word in words[1:]):
            print(line[:LINE_MAX])

    # before the checkers, so that the call which breaks a promise is the last one shown
    world.network.watchers.insert(0, show)
    for schedule in world.definitions:
        print(f"{schedule.name}: {schedule.when}")
    world.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
