"""`python -m benchmarks.balancing`: what each balancing strategy makes of the same backlog, drawn from a run.

For each strategy the same messages are sent to three queues, and one child of a real worker drains them. Each task
takes about a millisecond and leaves its queue's letter. The picture shows which share of its time each queue had, and
goes to docs/guides/balancing.svg; the colours follow the reader's light or dark surroundings.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from taskmesh import TaskMesh
from taskmesh.config.strategies import STRATEGIES

PICTURE = Path(__file__).parent.parent / "docs" / "guides" / "balancing.svg"

#: Queue -> messages and weight, in the order in which the worker serves them.
QUEUES = {"mail": (500, 3), "web": (1000, 2), "reports": (1500, 1)}
TASK_S = 0.001

mesh = TaskMesh("balancing-picture", embedded="private")


@mesh.task
def work(path: str, letter: str) -> None:
    """Take a millisecond, and leave a letter."""
    time.sleep(TASK_S)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, letter.encode())
    finally:
        os.close(fd)


def drained(strategy: str, folder: Path) -> str:
    """Have a worker drain the backlog, and return the letters of the queues in the order of their messages' runs."""
    path = folder / strategy
    for queue, (count, _) in QUEUES.items():
        work.starmap([(str(path), queue[0])] * count, queue=queue)
    queues = tuple(
        f"{queue}={weight}" if strategy == "weighted" else queue for queue, (_, weight) in QUEUES.items()
    )
    code = mesh.run_worker(1, queues=queues, strategy=strategy, burst=True)
    letters = path.read_text()
    if code or len(letters) != sum(count for count, _ in QUEUES.values()):
        raise RuntimeError(f"{strategy}: {len(letters)} ran, and the worker ended with {code}")
    return letters


# -- the picture ------------------------------------------------------------------

WIDTH, HEIGHT = 264, 104
COLUMNS = 3
GAP_X, GAP_Y = 30, 62
TOP = 100
SLICES = 40
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
LIGHT = ("#1f2328", "#59636e", "#ffffff", "#d1d9e0", ("#0b7285", "#e8890c", "#9aa5b1"))
DARK = ("#e6edf3", "#9198a1", "#0d1117", "#3d444d", ("#3bc9db", "#f2a33c", "#57606a"))

SAYS = {
    "round-robin": "each in its turn",
    "weighted": "mail=3, web=2, reports=1",
    "priority": "strictly by order",
    "random": "drawn for each claim",
    "longest-queue": "the largest backlog first",
    "two-choices": "the longer of two drawn",
}


def _colours(text: str, small: str, gap: str, axis: str, areas: Sequence[str]) -> str:
    rules = {
        "text": f"fill: {text}",
        ".small": f"fill: {small}",
        ".area": f"stroke: {gap}",
        ".axis": f"stroke: {axis}",
        **{f".q{at}": f"fill: {colour}" for at, colour in enumerate(areas)},
    }
    return " ".join(f"{what} {{ {how} }}" for what, how in rules.items())


def draw(runs: dict[str, str]) -> str:
    """Return the picture of what each strategy did."""
    total = sum(count for count, _ in QUEUES.values())
    rows = -(-len(runs) // COLUMNS)
    width = COLUMNS * WIDTH + (COLUMNS - 1) * GAP_X
    height = TOP + rows * (HEIGHT + GAP_Y) - 8
    style = (
        f"text {{ font: 12px {FONT} }} .head {{ font-size: 17px; font-weight: 600 }} .title {{ font-size: 13px; "
        f"font-weight: 600 }} .small {{ font-size: 11.5px }} .area {{ stroke-width: 1 }} {_colours(*LIGHT)} "
        f"@media (prefers-color-scheme: dark) {{ {_colours(*DARK)} }}"
    )
    about = (
        f"The share of each queue in what runs, from the first of {total:,} messages to the last; "
        "one child, tasks of a millisecond"
    )
    parts = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t" '
            f'viewBox="-16 0 {width + 32} {height}" width="{width + 32}">'
        ),
        '<title id="t">Which share of a worker each queue has while it is drained, by strategy</title>',
        f"<style>{style}</style>",
        '<text class="head" x="0" y="28">One worker, three queues, six strategies</text>',
        f'<text class="small" x="0" y="48">{about}</text>',
    ]
    x = 0.0
    for at, (queue, (count, _)) in enumerate(QUEUES.items()):
        label = f"{queue}: {count:,} messages"
        parts.append(f'<rect class="q{at}" x="{x:g}" y="60" width="11" height="11" rx="2"/>')
        parts.append(f'<text x="{x + 17:g}" y="70">{escape(label)}</text>')
        x += 17 + 6.6 * len(label) + 20
    for at, (strategy, letters) in enumerate(runs.items()):
        left = at % COLUMNS * (WIDTH + GAP_X)
        top = TOP + at // COLUMNS * (HEIGHT + GAP_Y)
        parts += _panel(strategy, letters, left, top)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(strategy: str, letters: str, left: int, top: int) -> list[str]:
    said = f'<tspan class="small" font-weight="400" dx="8">{escape(SAYS.get(strategy, ""))}</tspan>'
    parts = [
        f'<text class="title" x="{left}" y="{top + 8}">{escape(strategy)}{said}</text>',
    ]
    base = top + 16 + HEIGHT
    below = [0.0] * SLICES
    for at, queue in enumerate(QUEUES):
        above = [low + share for low, share in zip(below, _shares(letters, queue[0]), strict=True)]
        upper = [_point(left, base, slot, high) for slot, high in enumerate(above)]
        lower = [_point(left, base, slot, low) for slot, low in enumerate(below)]
        if above != below:
            parts.append(f'<path class="area q{at}" d="M{"L".join(upper + lower[::-1])}Z"/>')
        below = above
    parts.append(f'<line class="axis" x1="{left}" x2="{left + WIDTH}" y1="{base}" y2="{base}"/>')
    return parts


def _point(left: int, base: int, slot: int, share: float) -> str:
    return f"{left + slot * WIDTH / (SLICES - 1):.1f} {base - share * HEIGHT:.1f}"


def _shares(letters: str, letter: str) -> list[float]:
    """Return the share of a letter in each of some slices, one after the other."""
    bounds = [round(at * len(letters) / SLICES) for at in range(SLICES + 1)]
    return [letters.count(letter, start, end) / (end - start) for start, end in pairwise(bounds)]


def main() -> int:
    """Run and draw."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {strategy: drained(strategy, Path(folder)) for strategy in STRATEGIES}
    mesh.close()
    PICTURE.write_text(draw(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
