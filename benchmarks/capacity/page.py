"""The tables and the chart of docs/capacity.md."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.capacity.fail_over import FailOver
from benchmarks.capacity.model import Reckoned
from benchmarks.harness import pages
from benchmarks.harness.figures import shown

PAGE = pages.DOCS / "capacity.md"
CHART = pages.DOCS / "capacity.svg"

Found = Sequence[Sequence[Reckoned]]


def write(found: Found) -> None:
    """Write all of it."""
    pages.put(PAGE, "bottlenecks", bottlenecks(found))
    pages.put(PAGE, "sizes", sizes(found))
    pages.put(PAGE, "fail-over", fail_overs(found))
    CHART.write_text(chart(found))


def bottlenecks(found: Found) -> str:
    """Return which part is at its end first, in each of the ways."""
    heads = ("nodes", "workers", "to all nodes", "to at most 8", "to at most 8, beats too")
    rows = [
        [*_size(ways[0]), *(f"{each.bottleneck}: {_percent(each.uses[each.bottleneck])}" for each in ways)]
        for ways in found
    ]
    return pages.table(heads, rows)


def sizes(found: Found) -> str:
    """Return what nodes and leader have to do where workers claim from at most 8 nodes."""
    heads = (
        *(
            "nodes",
            "workers",
            "slots",
            "connections to a node: all / 8 / beats too",
            "beats/s at a node",
            "a core by beats: every node / 8",
            "an acceptor's core by candidates: if all stood by / as it is",
        ),
        *(
            "view",
            "spread",
            "join: copies, time",
            "loss: copies, time",
            "leader looks",
            "leader fires",
            "tasks/s",
        ),
    )
    rows = [
        [
            *_size(some),
            f"{some.size.slots:,}",
            f"{every.connections:,} / {some.connections:,} / {few.connections:,}",
            shown(some.beats_per_s),
            f"{_percent(some.beats_cpu)} / {_percent(few.beats_cpu)}",
            f"{_percent(some.candidates_cpu_all)} / {_percent(some.candidates_cpu)}",
            f"{some.view_bytes / 1024:,.0f} KiB",
            _seconds(some.spread_view_s),
            f"{some.placed.joined:,}, {_seconds(some.move_join_s)}",
            f"{some.placed.lost:,}, {_seconds(some.move_loss_s)}",
            _percent(some.leader_looks),
            _percent(some.leader_fires),
            f"{some.tasks_per_s:,.0f}",
        ]
        for every, some, few in found
    ]
    return pages.table(heads, rows)


def fail_overs(found: Found) -> str:
    """Return how long slots of a lost node stand still."""
    heads = (
        "nodes",
        "workers",
        "detect p50 / p99",
        "fence",
        "compare",
        "copy",
        "rebuild",
        "spread",
        "in all, p99",
    )
    rows = []
    for _, some, _ in found:
        over = some.fail_over
        detect = f"{_seconds(over.detect_p50_s)} / {_seconds(over.detect_p99_s)}"
        steps = (over.fence_s, over.compare_s, over.copy_s, over.rebuild_s, over.spread_s, over.worst_s)
        rows.append([*_size(some), detect, *map(_seconds, steps)])
    return pages.table(heads, rows)


def _size(each: Reckoned) -> tuple[str, str]:
    return f"{each.size.nodes:,}", f"{each.size.workers:,}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds < 0.1 else f"{seconds:,.1f} s"


def _percent(share: float) -> str:
    if share >= 10:
        return f"{share:,.0f} times"
    return f"{100 * share:,.1f} %" if share < 0.1 else f"{100 * share:,.0f} %"


# -- the chart ----------------------------------------------------------------------

WIDTH, NAMES, VALUES, BAR, GAP, TOP = 860, 190, 70, 18, 9, 86
PROMISED_S = 5.0
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_STEPS = ("detect", "fence", "compare and copy", "rebuild", "spread")
_LIGHT = ("#1f2328", "#59636e", "#cf222e", ("#9aa5b1", "#0b7285", "#e8890c", "#7048a8", "#2f7d32"))
_DARK = ("#e6edf3", "#9198a1", "#ff7b72", ("#57606a", "#3bc9db", "#f2a33c", "#b692f6", "#6fcf74"))


def chart(found: Found) -> str:
    """Return the fail-over of each size as a picture, one bar of steps for each."""
    overs = [ways[-1] for ways in found]
    longest = max(PROMISED_S, *(each.fail_over.worst_s for each in overs))
    scale = (WIDTH - NAMES - VALUES) / longest
    height = TOP + len(overs) * (BAR + GAP) + 8
    style = (
        f"text {{ font: 13px {FONT} }} .head {{ font-size: 17px; font-weight: 600 }} .small {{ font-size: 11.5px }} "
        f"{_colours(*_LIGHT)} @media (prefers-color-scheme: dark) {{ {_colours(*_DARK)} }}"
    )
    head = "A node is lost: until its slots go on, seconds (reckoned; 99 of 100 are sooner)"
    parts = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t" '
            f'viewBox="-16 0 {WIDTH + 32} {height}" width="{WIDTH + 32}">'
        ),
        '<title id="t">How long the slots of a lost node stand still, by size of mesh and by step</title>',
        f"<style>{style}</style>",
        f'<text class="head" x="0" y="28">{head}</text>',
    ]
    x = 0.0
    for at, step in enumerate(_STEPS):
        parts.append(f'<rect class="s{at}" x="{x:g}" y="42" width="11" height="11" rx="2"/>')
        parts.append(f'<text class="small" x="{x + 17:g}" y="52">{step}</text>')
        x += 17 + 6.6 * len(step) + 20
    promised = NAMES + PROMISED_S * scale
    parts.append(
        f'<line class="limit" x1="{promised:.1f}" x2="{promised:.1f}" y1="{TOP - 8}" y2="{height - 8}"/>'
    )
    parts.append(
        f'<text class="small" x="{promised:.1f}" y="{TOP - 12}" text-anchor="middle">promised: 5</text>'
    )
    y = float(TOP)
    for each in overs:
        parts += _bar(each, y, scale)
        y += BAR + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(each: Reckoned, y: float, scale: float) -> list[str]:
    name = f"{each.size.nodes:,} nodes, {each.size.workers:,} workers"
    middle = y + BAR * 0.74
    parts = [f'<text class="small" x="{NAMES - 8}" y="{middle:.1f}" text-anchor="end">{escape(name)}</text>']
    x = float(NAMES)
    for at, seconds in enumerate(_steps(each.fail_over)):
        width = seconds * scale
        parts.append(f'<rect class="s{at}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}"/>')
        x += width
    parts.append(f'<text class="small" x="{x + 6:.1f}" y="{middle:.1f}">{each.fail_over.worst_s:.2f}</text>')
    return parts


def _steps(over: FailOver) -> tuple[float, ...]:
    return over.detect_p99_s, over.fence_s, over.compare_s + over.copy_s, over.rebuild_s, over.spread_s


def _colours(text: str, small: str, limit: str, steps: Sequence[str]) -> str:
    rules = {
        "text": f"fill: {text}",
        ".small": f"fill: {small}",
        ".limit": f"stroke: {limit}; stroke-dasharray: 4 3",
        **{f".s{at}": f"fill: {colour}" for at, colour in enumerate(steps)},
    }
    return " ".join(f"{what} {{ {how} }}" for what, how in rules.items())
