"""One repetition of one measurement, in a process of its own; the runner starts it. Prints a line of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.app import URL_VARIABLE
from benchmarks.harness.processes import adopt_orphans
from benchmarks.rows.budget import BUDGET
from benchmarks.rows.model import Run


def main(argv: list[str]) -> int:
    """Measure: `python -m benchmarks.one NAME {"n": ..., "workers": ..., "log": ..., "options": {...}}`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    adopt_orphans()
    order = json.loads(argv[1])
    measurement = next(item for item in BUDGET if item.name == argv[0])
    run = Run(
        n=order["n"],
        workers=order["workers"],
        url=os.environ.get(URL_VARIABLE, ""),
        log=Path(order["log"]),
        options={**measurement.options, **order["options"]},
    )
    print(json.dumps(asdict(measurement.measure(run))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
