"""A process that may open no more files is told so, whenever that happens while a node is started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, resource, sys
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes import embedded

start = getattr(embedded, sys.argv[1])
spare = int(sys.argv[2])
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (highest + spare, highest + spare))
try:
    start("files")
except (ConfigError, NodeUnavailable) as error:
    print(error)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts its files by /proc")  # noqa: PTH112
@pytest.mark.parametrize("kind", ["ensure_running", "start_private"])
@pytest.mark.parametrize("spare", [0, 1])
def test_no_more_files(state_root, kind, spare):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(spare)],
        env=os.environ | {"TMPDIR": str(state_root)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # with no file at all, the search for a temporary folder fails first, and that is all it can say
    assert "ulimit -n" in done.stdout or "No usable temporary directory" in done.stdout
