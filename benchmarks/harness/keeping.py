"""Files of figures that are made in several runs: quiet hours are rare."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import NOISY_CORES

Row = dict[str, Any]


def earlier_rows(path: Path | None) -> list[Row]:
    """Return the rows of a file that an earlier run wrote; none if there is no such file."""
    if path is None or not path.is_file():
        return []
    rows: list[Row] = json.loads(path.read_text())["rows"]
    return rows


def is_sound(row: Row) -> bool:
    """Whether a row was measured while others were quiet."""
    return "error" not in row and float(row.get("others_cores", 0.0)) <= NOISY_CORES


def merged(earlier: list[Row], fresh: list[Row], key: Callable[[Row], Hashable]) -> list[Row]:
    """Return the rows of both runs, in the order of the earlier one; of two with one key the quieter."""
    out = {key(row): row for row in earlier}
    for row in fresh:
        before = out.get(key(row))
        if before is None or _disturbance(row) <= _disturbance(before):
            out[key(row)] = row
    return list(out.values())


def soundest(taken: list[Row]) -> list[Row]:
    """Return the repetitions that count: those taken while others were quiet; all that did not fail if none was."""
    good = [found for found in taken if not found.get("error") and not found.get("skipped")]
    return [found for found in good if found["foreign"] <= NOISY_CORES] or good


def as_json(document: dict[str, Any]) -> str:
    """Return the file: a line per row, so that a change of figures is easy to read."""
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in document["rows"])
    head = json.dumps({**document, "rows": []}, indent=1, ensure_ascii=False)
    return head.replace('"rows": []', f'"rows": [\n  {rows}\n ]') + "\n"


def _disturbance(row: Row) -> tuple[bool, float]:
    return "error" in row, float(row.get("others_cores", 0.0))
