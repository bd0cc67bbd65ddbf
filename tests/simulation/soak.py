"""The long run of the simulation: many seeds of its histories, on all cores, told block by block.

make soak                                                   a thousand seeds of each history, many more of the agreement
make soak ARGS="--seeds 100000 --from 5000"                 more of them, and others
make soak ARGS="--history crashes --history everything"     of these only
make soak ARGS="--history agreement"                        two million seeds of the agreement of acceptors
make soak ARGS="--history mesh"                             a million seeds of a mesh of several nodes
make soak ARGS="--replay crashes 4711"                      one seed again, with every call that the node executed
make soak ARGS="--replay crashes 4711 commit 0-17"          of those, what mentions one of these words
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

from tests.simulation.__main__ import main as replay
from tests.simulation.agreement import many_seeds as agreement
from tests.simulation.agreement.__main__ import main as replay_agreement
from tests.simulation.many_seeds import all_cores, failures, how_to_replay
from tests.simulation.mesh import many_seeds as mesh
from tests.simulation.mesh.__main__ import main as replay_mesh
from tests.simulation.rates import HISTORIES

SEEDS = 1000
#: The simulations of acceptors and of several nodes.
AGREEMENT, MESH = "agreement", "mesh"
#: So many seeds of these are run for one of the others, which takes that much longer.
TIMES = {AGREEMENT: 2000, MESH: 1000}
#: All that can be run.
NAMES = [*HISTORIES, AGREEMENT, MESH]
#: So many seeds of a history are run before those of the next, so that a run which is cut short has seen all of them.
BLOCK = 200

_OTHERS = {AGREEMENT: agreement, MESH: mesh}

#: Runs seeds of a history and returns what failed, each with its traceback.
Run = Callable[[str, range], list[tuple[int, str]]]


def main(words: Sequence[str], run: Run | None = None) -> int:
    """Run seeds, or replay one; return 1 if a promise was broken."""
    asked = _parse(words)
    if asked.replay:
        name, *words = asked.replay
        others = {AGREEMENT: replay_agreement, MESH: replay_mesh}
        return others[name](words) if name in others else replay(asked.replay)
    seeds = range(asked.first, asked.first + asked.seeds)
    if run is not None:
        return soak(asked.history or NAMES, seeds, run)
    with all_cores() as cores:
        return soak(asked.history or NAMES, seeds, partial(_run, cores=cores))


def _run(history: str, seeds: range, cores: Executor) -> list[tuple[int, str]]:
    if history in _OTHERS:
        return _OTHERS[history].failures(seeds, cores)
    return failures(history, seeds, cores)


def soak(histories: Sequence[str], seeds: range, run: Run) -> int:
    """Run seeds of some histories, a block of each in turn; return 1 if one failed. All the others are run as well."""
    began_s, failed = time.monotonic(), []
    for at in range(0, len(seeds), BLOCK):
        few = seeds[at : at + BLOCK]
        for history in histories:
            times = TIMES.get(history, 1)
            block = range(few.start * times, few.stop * times)
            print(f"{history:14} seeds {block[0]} to {block[-1]} ... ", end="", flush=True)
            found = run(history, block)
            print(
                "FAILED" if found else "all promises held",
                f"({time.monotonic() - began_s:.0f} s)",
                flush=True,
            )
            for seed, trace in found:
                print(
                    f"\n{trace}\nseed {seed} of {history} failed; to replay it, or to see all that happened:"
                )
                print(
                    _OTHERS[history].how_to_replay(seed)
                    if history in _OTHERS
                    else how_to_replay(history, seed),
                    flush=True,
                )
                failed.append(f"{history} {seed}")
    print(
        f"failed: {', '.join(failed)}" if failed else f"{len(seeds)} seeds of {len(histories)} histories held"
    )
    return 1 if failed else 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds",
        type=_positive,
        default=SEEDS,
        metavar="N",
        help=f"of each history, {TIMES[AGREEMENT]} times as many of the agreement, {TIMES[MESH]} of the mesh "
        f"(default: {SEEDS})",
    )
    parser.add_argument(
        "--from", dest="first", type=int, default=0, metavar="M", help="the first of them (default: 0)"
    )
    parser.add_argument(
        "--history",
        action="append",
        choices=NAMES,
        metavar="NAME",
        help=f"of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--replay", nargs="+", metavar="NAME SEED", help="show one seed again, with its calls"
    )
    return parser.parse_args(words)


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
