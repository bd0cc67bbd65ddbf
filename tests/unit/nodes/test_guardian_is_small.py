"""The guardian runs once per node for as long as the node: it may not grow by an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import taskmesh

# Each of these costs milliseconds of every start and hundreds of kilobytes for good.
TOO_HEAVY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "hashlib",
    "inspect",
    "json",
    "logging",
    "msgspec",
    "pathlib",
    "redis",
    "shutil",
    "subprocess",
    "tempfile",
    "threading",
}


def test_it_imports_nothing_heavy():
    root = str(Path(taskmesh.__file__).parent.parent)
    code = "import sys, taskmesh.nodes.guardian; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": root},
    )
    loaded = set(answer.stdout.split())
    assert "taskmesh.nodes.guardian" in loaded
    assert loaded & TOO_HEAVY == set()
