"""Which process is which: told by everybody alike, whatever the clocks say."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from taskmesh.worker.process import started_at


def test_a_process_is_known_by_the_moment_of_its_start():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert started_at(os.getpid()) == started_at(os.getpid()) != ""
        assert started_at(other.pid) not in ("", started_at(os.getpid()))
        asked = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from taskmesh.worker.process import started_at; print(started_at({other.pid}))",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert asked.stdout.strip() == started_at(other.pid)
        other.kill()
    assert started_at(other.pid) == ""


def test_one_that_nobody_has_waited_for_does_not_run():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert started_at(pid) == ""
    os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel keeps the moment itself")
def test_setting_the_wall_clock_makes_nobody_another_process(monkeypatch):
    """Linux tells the start of the machine by the wall clock of the moment: an hour later, all would look reborn."""
    before = started_at(os.getpid())
    at = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: at + 3600)
    assert started_at(os.getpid()) == before
