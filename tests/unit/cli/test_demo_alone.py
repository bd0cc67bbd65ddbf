"""The comparison in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from taskmesh.cli.demo import alone as module
from taskmesh.cli.demo.alone import AloneFailed, analyse_all, run_alone
from taskmesh.cli.demo.tally import Totals


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    (tmp_path / "good.py").write_text("import os\nx = '\\d'\n")
    (tmp_path / "bad.py").write_text("x = = 1\n")
    return [str(tmp_path / name) for name in ("good.py", "bad.py", "gone.py")]


def test_every_file_counts_and_a_failure_stops_nothing(paths: list[str]) -> None:
    assert analyse_all(paths, print).totals == Totals(analysed=1, failed=2, lines=2, imports=1)


def test_a_fresh_process_comes_to_the_same(paths: list[str], tmp_path: Path, monkeypatch, capfd) -> None:
    """Even where the current folder holds modules with the names of the standard library's."""
    (tmp_path / "ast.py").write_text("raise RuntimeError('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    progress: list[int] = []
    alone = run_alone(paths, progress.append, nullcontext)
    assert alone.totals == analyse_all(paths, print).totals
    assert alone.seconds > 0
    assert progress[-1] == 3
    assert capfd.readouterr() == ("", "")


def test_a_process_that_dies_is_an_error_that_says_so(paths: list[str], monkeypatch) -> None:
    monkeypatch.setattr(module, "_CHILD", "import os; os._exit(7)")
    with pytest.raises(AloneFailed, match="status 7"):
        run_alone(paths, print, nullcontext)


def child(**pipes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", module._CHILD, json.dumps(sys.path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)


def test_without_a_question_the_process_ends_quietly() -> None:
    with child() as process:
        assert process.communicate(b"", timeout=90) == (None, b"")
        assert process.returncode == 0


def test_without_a_reader_the_process_ends_quietly(paths: list[str]) -> None:
    readable, writable = os.pipe()
    with child(stdout=writable) as process:
        os.close(writable)
        os.close(readable)
        assert process.communicate(json.dumps(paths).encode(), timeout=90) == (None, b"")
        assert process.returncode == 0
