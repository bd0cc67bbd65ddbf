"""`python -m benchmarks.chart`: draw the comparison as an SVG, and write the table for the README.

Reads results/peers.json and results/budget.json, writes results/peers.svg and results/table.md. Needs nothing but
the standard library; the colours follow the reader's light or dark surroundings.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.harness.figures import shown
from benchmarks.peers.report import figure
from benchmarks.table import markdown

RESULTS = Path(__file__).parent / "results"

WIDTH = 860
NAMES = 150
VALUES = 84
BAR = 17
GAP = 7
PANEL_GAP = 34
TITLE = 26
TOP = 62
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

#: measure, figure, title, whether more is better.
PANELS = (
    ("drain", "rate", "Drain of a full queue, tasks per second", True),
    ("e2e", "rate", "End to end: send, run, read every result, tasks per second", True),
    (
        "latency",
        "p50_ms",
        "Round trip on an idle system, median, milliseconds (logarithmic; less is better)",
        False,
    ),
)

_LIGHT = (
    "text { fill: #1f2328 } .small { fill: #59636e } .bar { fill: #b4bcc6 } .own { fill: #0b7285 } "
    ".axis { stroke: #d1d9e0 }"
)
_DARK = (
    "text { fill: #e6edf3 } .small { fill: #9198a1 } .bar { fill: #57606a } .own { fill: #3bc9db } "
    ".axis { stroke: #3d444d }"
)
_STYLE = (
    f"text {{ font: 13px {FONT} }} .title, .own-text {{ font-weight: 600 }} "
    ".head { font-size: 17px; font-weight: 600 } .small { font-size: 11.5px } "
    f"{_LIGHT} @media (prefers-color-scheme: dark) {{ {_DARK} }}"
)


def draw(document: dict[str, Any]) -> str:
    """Return the chart of a comparison."""
    parts: list[str] = []
    y = TOP
    for measure, key, title, more in PANELS:
        found = [(name, figure(document, name, measure, key)) for name in document["variants"]]
        bars = [(name, value) for name, value in found if value]
        if not bars:
            continue
        bars.sort(key=lambda bar: -bar[1] if more else bar[1])
        parts.append(f'<text class="title" x="0" y="{y}">{escape(title)}</text>')
        y += TITLE - 14
        y = _panel(parts, bars, y, linear=more)
        y += PANEL_GAP
    about = document["machine"]
    foot = (
        f"{about['cores']} cores of {about['cpu']}, {about['python']}, {document['server']} without persistence; "
        f"{document['workers']} worker processes; {document['started'][:10]}"
    )
    parts.append(f'<text class="small" x="0" y="{y - 10}">{escape(foot)}</text>')
    head = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t" '
            f'viewBox="-16 0 {WIDTH + 32} {y + 8}" width="{WIDTH + 32}">'
        ),
        '<title id="t">TaskMesh beside its peers: drain, end to end, round trip</title>',
        f"<style>{_STYLE}</style>",
        '<text class="head" x="0" y="30">No-op tasks, one server, one method, results stored</text>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _panel(parts: list[str], bars: list[tuple[str, float]], y: int, *, linear: bool) -> int:
    room = WIDTH - NAMES - VALUES
    largest = max(value for _, value in bars)
    floor = min(value for _, value in bars) / 2
    parts.append(
        f'<line class="axis" x1="{NAMES}" x2="{NAMES}" y1="{y}" y2="{y + len(bars) * (BAR + GAP)}"/>'
    )
    for name, value in bars:
        share = value / largest if linear else math.log(value / floor) / math.log(largest / floor)
        width = max(1.5, share * room)
        own = name.startswith("TaskMesh")
        middle = y + GAP / 2 + BAR * 0.74
        kind = "own" if own else "bar"
        bold = ' class="own-text"' if own else ""
        parts += [
            f'<text{bold} x="{NAMES - 8}" y="{middle:.1f}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{NAMES}" y="{y + GAP / 2:.1f}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text{bold} x="{NAMES + width + 6:.1f}" y="{middle:.1f}">{shown(value)}</text>',
        ]
        y += BAR + GAP
    return y


def main(argv: Sequence[str] | None = None) -> int:
    """Read, draw and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chart", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the files are")
    args = parser.parse_args(argv)
    budget = _read(args.results / "budget.json")
    peers = _read(args.results / "peers.json")
    if peers is not None:
        (args.results / "peers.svg").write_text(draw(peers))
    (args.results / "table.md").write_text(markdown(budget, peers))
    return 0


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    sys.exit(main())
