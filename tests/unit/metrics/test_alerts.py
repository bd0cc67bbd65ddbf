"""The alerts, by Prometheus' own tool: they can be read, and each is told of its trouble and of nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ALERTS = HERE.parents[2] / "workers" / "prometheus" / "alerts.yml"


def test_each_alert_is_told_of_its_trouble(promtool: str, tmp_path: Path) -> None:
    for path in (ALERTS, HERE / "alerts_test.yml"):
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        [promtool, "test", "rules", "alerts_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
