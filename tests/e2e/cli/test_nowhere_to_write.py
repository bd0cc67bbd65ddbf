"""Commands whose standard output takes nothing: one line on stderr, and exit code 1."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.cli.shell import TASKMESH


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (">/dev/full", ["config", "--json"]),
        (">/dev/full", ["config"]),
        (">/dev/full", ["--version"]),
        (">/dev/full", ["--help"]),
        (">/dev/full", ["config", "--help"]),
        (">&-", ["config", "--json"]),
        (">&-", ["config"]),
    ],
)
def test_there_is_nowhere_to_write(shell, where, words):
    if where == ">/dev/full" and not os.path.exists("/dev/full"):  # noqa: PTH110 - a device of Linux
        pytest.skip("no /dev/full")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {where}', "sh", *TASKMESH, *words],
        cwd=shell.folder,
        env=shell.environ,
        stderr=subprocess.PIPE,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("taskmesh")
    assert "Traceback" not in done.stderr


def test_a_call_says_that_it_was_sent(served):
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device of Linux
        pytest.skip("no /dev/full")
    for more in ([], ["--json"]):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >/dev/full', "sh", *TASKMESH, "call", "add", "1", "2", *more],
            cwd=served.folder,
            env=served.environ,
            stderr=subprocess.PIPE,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 1
        assert "cannot write" in done.stderr
        sent = done.stderr.strip().rpartition("; the message was sent all the same, its id is ")[2]
        assert served.run("result", sent, "--wait", "90", "--json").json["state"] == "SUCCESS"


@pytest.mark.parametrize("more", [[], ["--wait", "90"]])
def test_a_call_whose_reader_has_gone_ends_quietly(served, more):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*TASKMESH, "call", "add", "1", "2", *more],
        cwd=served.folder,
        env=served.environ,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=90,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
