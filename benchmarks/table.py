"""The figures as Markdown, for the README."""

from __future__ import annotations

from typing import Any

from benchmarks import report
from benchmarks.harness.figures import shown
from benchmarks.harness.machine import NOISY_CORES
from benchmarks.peers import report as peers_report

#: Columns of the README's table; the file has more.
COLUMNS = 9


def markdown(budget: dict[str, Any] | None, peers: dict[str, Any] | None) -> str:
    """Return the tables that there are figures for."""
    parts = []
    if peers is not None:
        parts += _peers(peers)
    if budget is not None:
        parts += _budget(budget)
    return "\n".join(parts).rstrip() + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _machine(document: dict[str, Any]) -> str:
    about = document["machine"]
    return (
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, {about['system']}, kernel "
        f"{about['kernel']}, {about['python']}"
    )


def _peers(document: dict[str, Any]) -> list[str]:
    heading, *lines = peers_report.table(document)
    out = [_line(heading[: COLUMNS + 1]), _line(["---", *["---:"] * COLUMNS])]
    for line in lines:
        cells = line[: COLUMNS + 1]
        out.append(_line([f"**{cell}**" for cell in cells] if cells[0] == "TaskMesh" else cells))
    taken = sorted({row["repetitions"] for row in document["rows"]})
    repetitions = f"{taken[0]} repetitions" if len(taken) == 1 else f"{taken[0]} to {taken[-1]} repetitions"
    out += [
        "",
        (
            f"Measured {document['started'][:10]} by `make bench-peers` on {_machine(document)}: {document['server']} "
            f"without persistence over loopback TCP, {document['workers']} worker processes, no-op tasks, results "
            f"stored and checked; median of {repetitions}."
        ),
        "",
    ]
    ratios = peers_report.comparisons(document)
    if ratios:
        out += ["Ratios: " + "; ".join(f"{words} {shown(ratio)}" for words, ratio, _ in ratios) + ".", ""]
    out += ["How each is run:", ""]
    for name, about in document["variants"].items():
        pins = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
        out.append(f"- **{name}**: {about['note']} ({pins}).")
    remarks = [remark for remark in peers_report.remarks(document) if "other processes" not in remark]
    noisy = sum(row.get("others_cores", 0) > NOISY_CORES for row in document["rows"])
    if noisy:
        remarks.append(
            f"while {noisy} of {len(document['rows'])} figures were taken, other processes used more than "
            f"{NOISY_CORES} cores"
        )
    return [*out, "", *[f"- Note: {remark}." for remark in remarks], ""]


def _budget(document: dict[str, Any]) -> list[str]:
    out = [
        _line(["what", "budget", "measured", "ratio", "spread", "n × repetitions"]),
        _line(["---", "---:", "---:", "---:", "---:", "---:"]),
    ]
    for row in document["rows"]:
        value = report.value_text(row)
        out.append(
            _line(
                [
                    row["what"],
                    report.budget_text(row),
                    value if row.get("met", True) else f"**{value}**",
                    f"{row['ratio']:.2f}" if "ratio" in row else "-",
                    report.spread_text(row),
                    f"{row['n']:,} × {row['repetitions']}",
                ]
            )
        )
    server = next((row["server"] for row in document["rows"] if row.get("server")), "no server")
    out += [
        "",
        (
            f"Measured {document['started'][:10]} by `make bench` on {_machine(document)}: {server} on a Unix socket, "
            f"{document['workers']} worker processes, results stored, signatures on; files of the durable rows on "
            f"{document['durability_on']}. A figure in bold misses its budget."
        ),
    ]
    noisy = [row["row"] for row in document["rows"] if row.get("others_cores", 0) > NOISY_CORES]
    if noisy:
        out.append(f"Taken while other processes used more than {NOISY_CORES} cores: {', '.join(noisy)}.")
    return [*out, ""]
