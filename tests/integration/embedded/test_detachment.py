"""What the node keeps of the process that happened to start it: nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import pytest

from taskmesh.nodes import embedded
from tests.integration.embedded.processes import ask, is_alive, python

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def files_open_in(process: Path) -> list[str]:
    """Return what a process of /proc has open; it may open and close files meanwhile."""
    opened = []
    for fd in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.append(str(fd.readlink()))
    return opened


@linux_only
def test_it_keeps_no_descriptor_folder_session_or_secret(state_root, monkeypatch, tmp_path):
    monkeypatch.setenv("TASKMESH_KEY", "a secret of the first caller")
    monkeypatch.chdir(tmp_path)
    mine = (tmp_path / "mine").open("w")
    with mine:
        os.set_inheritable(mine.fileno(), True)
        node = embedded.ensure_running("shop")
    for pid in (node.guardian_pid, node.server_pid):
        process = Path("/proc", str(pid))
        opened = files_open_in(process)
        assert str(tmp_path / "mine") not in opened
        assert not [name for name in opened if name.startswith(("/dev/pts", "/dev/tty"))]
        assert (process / "fd" / "0").readlink() == Path("/dev/null")
        assert b"a secret" not in (process / "environ").read_bytes()
        assert not (process / "cwd").readlink().is_relative_to(tmp_path)
        assert os.getsid(pid) != os.getsid(0)


@linux_only
def test_it_is_nobodys_child(state_root):
    """Whoever waits for all its children must not meet ours."""
    code = """
        import os
        from taskmesh.nodes import embedded
        embedded.ensure_running("shop", timeout_s=60)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child")
        """
    with python(code) as starter:
        assert starter.communicate(timeout=90)[0] == "no child\n"
    assert starter.returncode == 0
    assert is_alive(embedded.ensure_running("shop").server_pid)  # it outlives its starter


@linux_only
def test_a_starter_which_blocks_signals_passes_that_on_to_nobody(state_root):
    code = """
        import signal
        from taskmesh.nodes import embedded
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
        embedded.ensure_running("shop", timeout_s=60)
        """
    with python(code) as starter:
        starter.communicate(timeout=90)
    assert starter.returncode == 0
    assert embedded.stop("shop")


@linux_only
def test_the_guardian_is_small(state_root):
    node = embedded.ensure_running("shop")
    status = Path("/proc", str(node.guardian_pid), "status").read_text()
    resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert resident_kb < 20_000


def test_whoever_connects_first_finds_the_epoch(state_root):
    path = embedded.socket_path_of("shop")
    found = []
    stop = threading.Event()

    def hurry() -> None:
        while not stop.is_set() and not found:
            try:
                found.append(ask(path, "GET", "tm:shop:epoch"))
            except OSError:
                continue  # not there yet

    thread = threading.Thread(target=hurry)
    thread.start()
    try:
        embedded.ensure_running("shop", timeout_s=60)
        thread.join(90)
    finally:
        stop.set()
        thread.join()
    assert found == [b"000000010001"]


@linux_only
def test_the_servers_allocator_is_tuned_and_the_guardians_is_not(state_root):
    node = embedded.ensure_running("shop")
    assert b"GLIBC_TUNABLES=" in Path("/proc", str(node.server_pid), "environ").read_bytes()
    assert b"GLIBC_TUNABLES=" not in Path("/proc", str(node.guardian_pid), "environ").read_bytes()
