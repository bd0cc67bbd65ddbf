"""The figures of the comparison: as a file, as tables for the terminal and for the README."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.figures import shown, summary
from benchmarks.harness.keeping import soundest
from benchmarks.harness.machine import NOISY_CORES

#: measure, figure, heading, whether more is better.
COLUMNS = (
    ("enqueue", "rate", "one by one /s", True),
    ("enqueue", "bulk_rate", "in bulk /s", True),
    ("drain", "rate", "drain /s", True),
    ("e2e", "rate", "end to end /s", True),
    ("latency", "p50_ms", "p50 ms", False),
    ("latency", "p99_ms", "p99 ms", False),
    ("footprint", "pss_mib", "memory MiB", False),
    ("footprint", "start_s", "start s", False),
    ("footprint", "import_ms", "import ms", False),
    ("drain", "worker_cpu_us", "worker CPU µs", False),
    ("drain", "server_cpu_us", "server CPU µs", False),
)
#: What our own variants begin with: they are no peers.
OWN = "TaskMesh"
_NOT_FIGURES = {
    "variant",
    "measure",
    "n",
    "error",
    "server",
    "capped",
    "wrong",
    "foreign",
    "executed",
    "samples",
    "bulk_call",
    "processes",
}


def brief(found: dict[str, Any]) -> str:
    """Return a few figures for a line of progress."""
    if found.get("error"):
        return str(found["error"])
    figures = [f"{name} {shown(value)}" for name, value in found.items() if name not in _NOT_FIGURES]
    marks = ["capped"] * bool(found.get("capped")) + [f"{found['wrong']} wrong"] * bool(found.get("wrong"))
    return ", ".join([*figures, *marks, f"others {found['foreign']:.2f}"])


def summarised(taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per variant and measure: median, smallest and largest of each figure."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for found in taken:
        groups.setdefault((found["variant"], found["measure"]), []).append(found)
    rows = []
    for (variant, measure), group in groups.items():
        good = soundest(group)
        row: dict[str, Any] = {
            "variant": variant,
            "measure": measure,
            "n": group[-1]["n"],
            "repetitions": len(good),
        }
        if not good:
            rows.append(row | {"error": group[-1]["error"]})
            continue
        names = [name for name in good[-1] if name not in _NOT_FIGURES]
        row |= {name: list(summary([found[name] for found in good]).values()) for name in names}
        row["others_cores"] = max(found["foreign"] for found in good)
        row |= {name: good[-1][name] for name in ("bulk_call", "samples", "processes") if name in good[-1]}
        wrong = sum(found["wrong"] for found in good)
        if wrong:
            row["wrong"] = wrong
        if any(found.get("capped") for found in good):
            row["capped"] = True
        rows.append(row)
    return rows


def figure(document: dict[str, Any], variant: str, measure: str, name: str) -> float | None:
    """Return the median of a figure; None if it was not taken."""
    for row in document["rows"]:
        if row["variant"] == variant and row["measure"] == measure and name in row:
            return float(row[name][0])
    return None


def table(document: dict[str, Any]) -> list[list[str]]:
    """Return the table: a heading, then a line per variant, fastest drain first."""
    measured = {row["variant"] for row in document["rows"]}
    names = [name for name in document["variants"] if name in measured]
    names.sort(key=lambda name: -(figure(document, name, "drain", "rate") or 0))
    out = [["", *(heading for _, _, heading, _ in COLUMNS)]]
    for name in names:
        line = [name]
        for measure, key, _, _ in COLUMNS:
            value = figure(document, name, measure, key)
            line.append("-" if value is None else shown(value))
        out.append(line)
    return out


def remarks(document: dict[str, Any]) -> list[str]:
    """Return what a reader must know beside the figures."""
    out = []
    for row in document["rows"]:
        where = f"{row['variant']}, {row['measure']}"
        if "error" in row:
            out.append(f"{where}: could not be measured: {row['error']}")
        if row.get("wrong"):
            out.append(f"{where}: {row['wrong']} results were wrong or missing")
        if row.get("capped"):
            out.append(f"{where}: stopped at the time limit; the rate is that of the tasks done until then")
        if row.get("others_cores", 0) > NOISY_CORES:
            out.append(f"{where}: other processes used up to {row['others_cores']:.1f} cores meanwhile")
    return out


def comparisons(document: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return what the budget says about the peers: words, ratio, budget."""
    own = figure(document, "TaskMesh", "drain", "rate")
    others = {
        name: figure(document, name, "drain", "rate")
        for name in document["variants"]
        if not name.startswith(OWN)
    }
    rates = {name: rate for name, rate in others.items() if rate}
    out = []
    if own and rates.get("Celery"):
        out.append(("drain / Celery's", own / rates["Celery"], 40.0))
    if own and rates:
        fastest = max(rates, key=lambda name: rates[name])
        out.append((f"drain / that of the fastest peer ({fastest})", own / rates[fastest], 8.0))
    single, huey = (
        figure(document, "TaskMesh", "enqueue", "rate"),
        figure(document, "Huey", "enqueue", "rate"),
    )
    if single and huey:
        out.append(("one by one / Huey's, which keeps no record and signs nothing", single / huey, 0.85))
    return out


def show(document: dict[str, Any], *, compared: bool = True) -> None:
    """Print the table, and what the budget says of it, unless that is about something else."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, 170)
    about = document["machine"]
    title = (
        f"{about['cores']} cores, {about['cpu']}; {about['python']}; {document['server']}; "
        f"{document['workers']} worker processes; medians"
    )
    heading, *lines = table(document)
    shown_table = Table(title=title, title_justify="left", show_edge=False)
    for at, name in enumerate(heading):
        shown_table.add_column(name, justify="right" if at else "left")
    for line in lines:
        shown_table.add_row(*line)
    console.print(shown_table)
    for words, ratio, budget in comparisons(document) if compared else ():
        console.print(f"{words}: {shown(ratio)} (budget {shown(budget)})", highlight=False)
    for remark in remarks(document):
        console.print(f"! {remark}", highlight=False, markup=False)
