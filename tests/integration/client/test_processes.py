"""Callers that fork, that are spawned, that are scripts, that end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 300


def run(*words: str, cwd: Path = ROOT, **environ: str) -> str:
    """Run a program, demand that it ends well, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=os.environ | {"PYTHONUNBUFFERED": "1"} | environ,
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_children_of_a_parent_that_has_sent_and_listens(node_exists, tmp_path):
    lines = run("-m", "tests.apps.prefork", PREFORK_FOLDER=str(tmp_path)).splitlines()
    assert lines.count("exit 0") == 4
    assert {line for line in lines if line.endswith("done")} == {f"child {n} done" for n in (0, 1, 2, 9)}
    assert "parent ['of the parent', 'of the parent'] of the executor" in lines
    assert "ids 120 120" in lines, "no id was made twice"
    assert "read True" in lines


@pytest.mark.parametrize(
    ("words", "name", "methods"),
    [
        (["tests/apps/main_script.py"], "main_script", ["spawn", "fork", "forkserver"]),
        (["-m", "tests.apps.main_script"], "tests.apps.main_script", ["spawn"]),
    ],
)
def test_a_script_and_its_workers_agree_on_what_it_defines(node_exists, words, name, methods):
    """Also in processes that multiprocessing makes; and the script is not run a second time by an unpickling."""
    out = run(*words, *methods)
    for where in ("here", *methods):
        for what in (
            "error from a worker True",
            "move True",
            "map True",
            "make True",
            f"name {name}.fail by name",
            "executor True",
        ):
            assert f"{where} {what}\n" in out
        assert where == "here" or f"{where} exit code 0\n" in out
    # once as the program, once by the worker, and once by each process that is spawned
    assert sorted(line for line in out.splitlines() if line.startswith("run as")) == sorted(
        ["run as __main__", f"run as {name}"]
        + ["run as __mp_main__" for method in methods if method != "fork"]
    )


def test_the_interpreter_waits_for_what_was_submitted(node_exists, tmp_path):
    lines = run("-m", "tests.apps.at_exit", str(tmp_path / "let-go")).splitlines()
    assert lines == [
        "end of main",
        "exiting: True",
        "ended: let go",
        "too late: cannot schedule new futures after interpreter shutdown",
        "done: True True",
    ]
