"""The private node: it belongs to one process, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes import embedded
from tests.integration.embedded.processes import answers, ask, is_alive, python
from tests.support import wait_until

OWNER = """
    import os, signal, sys
    from taskmesh.nodes import embedded
    node = embedded.start_private("demo")
    print(node.server_pid, node.guardian_pid, node.socket_path, flush=True)
    sys.stdin.readline()
    """


def said(owner) -> tuple[int, int, Path]:
    server_pid, guardian_pid, socket_path = owner.stdout.readline().split()
    return int(server_pid), int(guardian_pid), Path(socket_path)


def is_gone(server_pid: int, guardian_pid: int, socket_path: Path) -> bool:
    return not (is_alive(server_pid) or is_alive(guardian_pid) or socket_path.parent.exists())


def test_it_serves_and_close_waits_until_all_of_it_is_gone():
    node = embedded.start_private("demo")
    folder = Path(node.socket_path).parent
    server_pid, guardian_pid = node.server_pid, node.guardian_pid
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert ask(node.socket_path, "GET", "tm:demo:epoch") == b"000000010001"
    assert ask(node.socket_path, "CONFIG", "GET", "appendonly") == [b"appendonly", b"no"]
    assert node.generation == 1
    node.close()
    assert not folder.exists()
    assert not is_alive(server_pid)
    wait_until(lambda: not is_alive(guardian_pid))  # it has closed everything; init has still to look
    node.close()
    with pytest.raises(NodeUnavailable, match="has ended"):
        _ = node.server_pid


def test_it_is_none_of_the_shared_ones(state_root):
    with embedded.start_private("demo") as node, embedded.start_private("demo") as other:
        assert node.socket_path != other.socket_path
        assert embedded.running() == []
        assert list(state_root.iterdir()) == []


@pytest.mark.parametrize(("durability", "kept"), [("memory", None), ("process", b"value")])
def test_a_killed_server_comes_back_with_what_its_durability_promises(durability, kept):
    with embedded.start_private("demo", durability=durability) as node:
        ask(node.socket_path, "SET", "key", "value")
        killed = node.server_pid
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: node.generation == 2)
        wait_until(lambda: answers(node.socket_path))
        assert ask(node.socket_path, "GET", "tm:demo:epoch") == b"000000020001"
        assert ask(node.socket_path, "GET", "key") == kept


def test_an_unknown_durability_is_refused():
    with pytest.raises(ConfigError, match="'disk'"):
        embedded.start_private("demo", durability="disk")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["normally", "killed", "by an exception"])
def test_it_goes_when_its_owner_does(how):
    code = OWNER + ("raise SystemExit(3)\n" if how == "by an exception" else "")
    with python(code, stdin=-1) as owner:
        node = said(owner)
        assert answers(str(node[2]))
        if how == "killed":
            os.kill(owner.pid, signal.SIGKILL)
        owner.communicate()
    wait_until(lambda: is_gone(*node))


def test_a_forked_child_and_a_started_program_do_not_keep_it():
    code = (
        OWNER
        + """
    import subprocess
    started = subprocess.Popen(["sleep", "1000"], close_fds=False)
    forked = os.fork()
    if not forked:
        node.close()                    # it is not the child's to close
        os.write(1, b"closed\\n")          # in one piece: two processes write here
        signal.pause()
    os.write(1, f"{started.pid} {forked}\\n".encode())
    signal.pause()
    """
    )
    children: list[int] = []
    with python(code, stdin=-1) as owner:
        try:
            node = said(owner)
            print("go on", file=owner.stdin, flush=True)
            lines = [owner.stdout.readline(), owner.stdout.readline()]
            children = [int(pid) for line in lines if line != "closed\n" for pid in line.split()]
            assert len(children) == 2
            assert "closed\n" in lines
            assert answers(str(node[2]))
            owner.kill()
            wait_until(lambda: is_gone(*node))
            assert all(is_alive(pid) for pid in children)
        finally:
            owner.kill()
            for pid in children:
                os.kill(pid, signal.SIGKILL)


def test_close_cleans_up_after_a_killed_guardian():
    node = embedded.start_private("demo")
    folder = Path(node.socket_path).parent
    server_pid = node.server_pid
    os.kill(node.guardian_pid, signal.SIGKILL)
    node.close()
    assert not folder.exists()
    wait_until(lambda: not is_alive(server_pid))


def test_what_a_killed_pair_left_is_removed_by_the_next_start(monkeypatch):
    base = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    with python("pass") as dead:
        dead.wait()
    prefix = f"taskmesh-{os.getuid()}-p"
    left, recent, living = (
        base / f"{prefix}{pid}-{name}"
        for pid, name in ((dead.pid, "left"), (dead.pid, "recent"), (os.getpid(), "living"))
    )
    for folder in (left, recent, living):
        (folder / "data").mkdir(parents=True)
    for folder in (left, living):
        os.utime(folder, (0, 0))
    with embedded.start_private("demo") as node:
        assert Path(node.socket_path).parent.parent == base
        assert sorted(base.iterdir()) == sorted([recent, living, Path(node.socket_path).parent])
    for folder in (recent, living):
        (folder / "data").rmdir()
        folder.rmdir()
    base.rmdir()


def test_a_temporary_folder_with_a_long_path(monkeypatch):
    base = Path(tempfile.mkdtemp(prefix="tm-" + "d" * 80, dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    with embedded.start_private("demo") as node:
        assert len(node.socket_path) < 100
        assert answers(node.socket_path)
    base.rmdir()


def test_a_start_that_fails_leaves_nothing(monkeypatch, tmp_path):
    base = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    script = tmp_path / "fake-server"
    version = 'if [ "$1" = --version ]; then echo "Valkey server v=9.0.0"; exit 0; fi'
    script.write_text(f"#!/bin/sh\n{version}\necho broken >&2; exit 3\n")
    script.chmod(0o700)
    monkeypatch.setenv("TASKMESH_SERVER_BINARY", str(script))
    with pytest.raises(NodeUnavailable, match="broken"):
        embedded.start_private("demo")
    base.rmdir()  # raises unless it is empty
