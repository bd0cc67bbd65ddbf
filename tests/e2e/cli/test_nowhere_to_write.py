"""Commands whose standard output takes nothing: one line on stderr, and exit code 1."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.cli.shell import TASKMESH


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
@pytest.mark.parametrize("words", [["config", "--json"], ["config"]])
def test_there_is_nowhere_to_write(shell, where, words):
    if where == ">/dev/full" and not os.path.exists("/dev/full"):  # noqa: PTH110 - a device of Linux
        pytest.skip("no /dev/full")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {where}', "sh", *TASKMESH, *words],
        cwd=shell.folder,
        env=shell.environ,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("taskmesh")
    assert "Traceback" not in done.stderr
