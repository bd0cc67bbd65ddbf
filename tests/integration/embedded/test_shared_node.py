"""The shared node: one per mesh, for everybody, over the deaths of its processes."""

from __future__ import annotations

import os
import signal
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.coordination.candidates import heard
from taskmesh.coordination.leader import Candidate
from taskmesh.errors import ConfigError
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded_delete import delete, kept
from taskmesh.nodes.embedded_paths import machine_memory
from taskmesh.nodes.embedded_resp import Connection
from taskmesh.scheduler.teller import Teller
from tests.integration.embedded.processes import answers, ask, is_alive, python
from tests.support import wait_until


def kill_server(node: embedded.Running) -> embedded.Running:
    """Kill the server and return the node once another one serves.

    A killed process answers no more, but for an instant its socket can still be connected to.
    """
    os.kill(node.server_pid, signal.SIGKILL)

    def successor() -> embedded.Running | None:
        found = embedded.ensure_running(node.mesh, timeout_s=60)
        return found if found.server_pid != node.server_pid else None

    return wait_until(successor)


@pytest.mark.parametrize("runs", [True, False])
def test_what_it_keeps_is_removed_and_a_new_one_knows_nothing(state_root, runs):
    node = embedded.ensure_running("shop")
    ask(node.socket_path, "SET", "key", "value")
    if not runs:
        embedded.stop("shop")
    assert kept() == ["shop"]
    assert delete("shop")
    assert not is_alive(node.server_pid)
    assert list(state_root.glob("*/*")) == []
    assert (kept(), delete("shop")) == ([], False)
    assert ask(embedded.ensure_running("shop").socket_path, "GET", "key") is None


def test_one_that_was_taken_down_is_not_started_to_be_told_who_stands_for_leader(state_root):
    with TaskMesh("shop") as mesh:
        link = mesh.link.open()
        teller = Teller(link, Candidate("a" * 16, "ann", "host:1"), lambda: False)
        # it gives the node a second
        wait_until(lambda: teller.tell() or link.run(heard(link.session)))
        embedded.stop("shop")
        for _ in range(3):  # the first has a connection still
            teller.tell()
        assert embedded.running() == []


def test_a_folder_that_others_may_write_is_not_removed(state_root):
    embedded.ensure_running("shop")
    (folder,) = state_root.glob("*/shop")
    folder.chmod(0o722)
    with pytest.raises(ConfigError, match="left alone: others may write"):
        delete("shop")
    folder.chmod(0o700)
    assert kept() == ["shop"]


def test_it_starts_with_the_settings_that_keep_its_promises(state_root):
    node = embedded.ensure_running("shop")
    assert node.mesh == "shop"
    assert node.generation == 1
    assert node.idle_s == 600.0
    settings = {
        "port": b"0",
        "appendonly": b"yes",
        "appendfsync": b"no",
        "aof-load-truncated": b"yes",
        "save": b"",
        "maxmemory-policy": b"noeviction",
        "hz": b"50",
        "maxmemory": b"%d" % (machine_memory() // 4),
        "dir": os.fsencode(node.data_dir),
    }
    for name, value in settings.items():
        assert ask(node.socket_path, "CONFIG", "GET", name) == [name.encode(), value]
    assert ask(node.socket_path, "GET", "tm:shop:epoch") == b"000000010001"


def test_its_folders_and_files_are_ours_alone(state_root):
    node = embedded.ensure_running("shop")
    state = node.data_dir.parent
    for folder in (state, node.data_dir, Path(node.socket_path).parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir() if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


def test_a_second_call_finds_the_same_node(state_root):
    assert embedded.ensure_running("shop") == embedded.ensure_running("shop")
    assert embedded.running() == [embedded.ensure_running("shop")]


def test_meshes_have_nodes_of_their_own(state_root):
    one, other = embedded.ensure_running("one"), embedded.ensure_running("other")
    assert one.server_pid != other.server_pid
    assert [node.mesh for node in embedded.running()] == ["one", "other"]
    assert embedded.stop("one")
    assert [node.mesh for node in embedded.running()] == ["other"]


def test_nothing_runs_at_first(state_root):
    assert embedded.running() == []
    assert not embedded.stop("shop")
    assert embedded.socket_path_of("shop").startswith(str(state_root))


def test_of_many_processes_that_start_it_one_does_and_all_get_it(state_root):
    code = """
        import sys
        from taskmesh.nodes import embedded
        sys.stdin.readline()
        node = embedded.ensure_running("shop", timeout_s=60)
        print(node.generation, node.server_pid, node.guardian_pid)
        """
    gate_read, gate_write = os.pipe()
    starters = [python(code, stdin=gate_read) for _ in range(6)]
    os.close(gate_read)
    os.write(gate_write, b"\n" * len(starters))  # each reads a line, or the end: it only holds them together
    os.close(gate_write)
    answers_given = {starter.communicate(timeout=90)[0].strip() for starter in starters}
    node = embedded.ensure_running("shop")
    assert answers_given == {f"1 {node.server_pid} {node.guardian_pid}"}


def test_of_many_threads_that_start_it_one_does_and_all_get_it(state_root):
    gate = threading.Barrier(8)

    def start(_):
        gate.wait()
        return embedded.ensure_running("shop", timeout_s=60)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(start, range(8)))) == 1


def test_a_killed_server_is_replaced_and_what_it_acknowledged_is_there(state_root):
    before = embedded.ensure_running("shop")
    for number in range(100):
        ask(before.socket_path, "SET", f"key{number}", str(number))
    after = kill_server(before)
    assert after.generation == before.generation + 1
    assert after.guardian_pid == before.guardian_pid
    assert ask(after.socket_path, "GET", "tm:shop:epoch") == b"000000020001"
    assert ask(after.socket_path, "GET", "key99") == b"99"
    assert ask(after.socket_path, "DBSIZE") == 101


def test_a_server_killed_again_and_again_comes_back(state_root):
    node = embedded.ensure_running("shop")
    for generation in range(2, 6):
        node = kill_server(node)
        assert node.generation == generation


def test_who_can_connect_finds_the_new_epoch(state_root):
    """At every restart: the epoch on the node is never older than the generation in the file."""
    node = embedded.ensure_running("shop")
    counted = node.data_dir.parent / "generation"
    for _ in range(3):
        node = kill_server(node)
        epoch = ask(node.socket_path, "GET", "tm:shop:epoch")
        assert isinstance(epoch, bytes)
        assert int(epoch[:8], 16) == int(counted.read_text())
        assert epoch[8:] == b"0001"


def test_a_killed_guardian_takes_its_server_along_and_a_new_pair_starts(state_root):
    before = embedded.ensure_running("shop")
    ask(before.socket_path, "SET", "key", "value")
    os.kill(before.guardian_pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(before.guardian_pid))
    after = embedded.ensure_running("shop", timeout_s=60)
    assert not is_alive(before.server_pid)
    assert after.generation == 2
    assert ask(after.socket_path, "GET", "key") == b"value"


@pytest.mark.slow
def test_an_orphan_that_does_not_end_is_killed_before_its_data_is_opened_again(state_root):
    before = embedded.ensure_running("shop")
    ask(before.socket_path, "SET", "key", "value")
    os.kill(before.server_pid, signal.SIGSTOP)
    os.kill(before.guardian_pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(before.guardian_pid))
    after = embedded.ensure_running("shop", timeout_s=60)
    assert not is_alive(before.server_pid)
    assert ask(after.socket_path, "GET", "key") == b"value"


def test_stop_ends_everything_and_keeps_the_data(state_root):
    node = embedded.ensure_running("shop")
    state = node.data_dir.parent
    ask(node.socket_path, "SET", "key", "value")
    assert embedded.stop("shop")
    wait_until(lambda: not is_alive(node.guardian_pid))
    assert not is_alive(node.server_pid)
    assert not embedded.stop("shop")
    assert {path.name for path in state.iterdir()} == {
        "data",
        "data.lock",
        "durability",
        "generation",
        "guardian.lock",
        "guardian.log",
        "server.log",
        "start.lock",
    }
    again = embedded.ensure_running("shop")
    assert again.generation == 2
    assert ask(again.socket_path, "GET", "key") == b"value"


def test_it_leaves_when_nobody_needs_it_and_stays_for_a_live_message(state_root, monkeypatch):
    # what they keep is put there by earlier ones, which stay: those that leave soon may have left before
    for mesh, record in (("waiting", "record"), ("idle", "record of a finished one")):
        node = embedded.ensure_running(mesh)
        ask(node.socket_path, "SET", f"tm:{mesh}:r:an-id", record)
        if mesh == "waiting":
            ask(node.socket_path, "SADD", "tm:waiting:L:17", "an-id")
        assert embedded.stop(mesh)
    monkeypatch.setenv("TASKMESH_EMBEDDED_IDLE_S", "0.2")
    waiting = embedded.ensure_running("waiting")
    # It was last used before this one was started, and would have left before it.
    idle = embedded.ensure_running("idle")
    wait_until(lambda: not is_alive(idle.guardian_pid))
    assert not is_alive(idle.server_pid)
    assert not Path(idle.socket_path).exists()
    assert embedded.running() == [waiting]
    monkeypatch.delenv("TASKMESH_EMBEDDED_IDLE_S")
    again = embedded.ensure_running("idle")
    assert ask(again.socket_path, "EXISTS", "tm:idle:r:an-id") == 1


def test_a_stale_socket_card_and_lock_mislead_nobody(state_root):
    node = embedded.ensure_running("shop")
    state = node.data_dir.parent
    kept = {name: (state / name).read_bytes() for name in ("card", "guardian.lock")}
    os.kill(node.guardian_pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(node.server_pid))
    for name, content in kept.items():
        (state / name).write_bytes(content)
    assert Path(node.socket_path).is_socket()  # nobody removed it
    assert embedded.running() == []
    assert not embedded.stop("shop")
    assert embedded.ensure_running("shop", timeout_s=60).generation == 2


def watched(mesh: str) -> tuple[embedded.Running, Connection]:
    """Return a node that leaves soon, and a connection: while that is open, it stays."""

    def connected() -> tuple[embedded.Running, Connection] | None:
        node = embedded.ensure_running(mesh, timeout_s=60)
        watcher = None
        try:
            watcher = Connection(node.socket_path, 90.0)
            # another one may have taken its place meanwhile
            if watcher.call("PING") == b"PONG" and embedded.running() == [node]:
                return node, watcher
        except OSError:
            pass  # it has left
        if watcher is not None:
            watcher.close()
        return None

    return wait_until(connected)


def test_a_removed_socket_is_put_back(state_root, monkeypatch):
    monkeypatch.setenv("TASKMESH_EMBEDDED_IDLE_S", "2")  # the guardian looks every half second
    node, watcher = watched("shop")
    try:
        Path(node.socket_path).unlink()
        again = embedded.ensure_running("shop", timeout_s=60)
    finally:
        watcher.close()
    assert again.guardian_pid == node.guardian_pid
    assert again.generation == node.generation + 1


def test_a_node_whose_folder_was_removed_ends_and_harms_no_successor(state_root, monkeypatch):
    monkeypatch.setenv("TASKMESH_EMBEDDED_IDLE_S", "2")
    node = embedded.ensure_running("shop")
    node.data_dir.parent.rename(state_root / "removed")
    successor, watcher = watched("shop")
    assert successor.guardian_pid != node.guardian_pid
    try:
        wait_until(lambda: not is_alive(node.guardian_pid))
        assert not is_alive(node.server_pid)
        assert embedded.running() == [successor]
        assert watcher.call("PING") == b"PONG"
    finally:
        watcher.close()


def test_a_path_too_long_for_a_socket(state_root, monkeypatch):
    deep = state_root / ("d" * 90)
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(deep))
    node = embedded.ensure_running("shop")
    try:
        folder = Path(node.socket_path).parent
        assert folder.parent == Path(f"/tmp/taskmesh-{os.getuid()}")
        assert len(node.socket_path) < 100
        for path in (folder, folder.parent):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert answers(node.socket_path)
        assert node.data_dir.is_relative_to(deep)
        assert embedded.ensure_running("shop") == node
        assert embedded.running() == [node]
    finally:
        assert embedded.stop("shop")
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_a_generation_that_was_lost_is_found_in_the_data(state_root):
    node = embedded.ensure_running("shop")
    ask(node.socket_path, "SET", "tm:shop:epoch", "000000290003")
    assert embedded.stop("shop")
    counted = node.data_dir.parent / "generation"
    counted.unlink()
    assert embedded.ensure_running("shop").generation == 0x2A
    assert counted.read_text() == "42\n"


def test_clients_are_counted(state_root):
    node = embedded.ensure_running("shop")
    # the node sees a moment later that who has started it is gone
    wait_until(lambda: embedded.count_clients(node) == 0)
    code = """
        import sys
        from taskmesh.nodes.embedded_resp import Connection
        connection = Connection(sys.argv[1], 10)
        connection.call("PING")
        print("connected", flush=True)
        sys.stdin.read()
        connection.close()
        """
    with python(code, node.socket_path, stdin=-1) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        wait_until(lambda: embedded.count_clients(node) == 1)
        client.communicate()
    wait_until(lambda: embedded.count_clients(node) == 0)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_an_impossible_idle_time_is_refused_by_name(state_root, monkeypatch, value):
    monkeypatch.setenv("TASKMESH_EMBEDDED_IDLE_S", value)
    with pytest.raises(ConfigError, match="TASKMESH_EMBEDDED_IDLE_S"):
        embedded.ensure_running("shop")


def test_one_that_has_become_one_of_several_keeps_its_epoch_when_it_is_started_anew(state_root):
    """Else it would pass for the only node again, and those that it was to be copied to for none."""
    with TaskMesh("shop", key="0" * 32) as mesh:
        mesh.link.become_several()
        epoch = mesh.link.view.epoch
    again = kill_server(embedded.ensure_running("shop"))
    assert ask(again.socket_path, "GET", "tm:shop:epoch") == epoch
    with TaskMesh("shop", key="0" * 32) as mesh:
        assert mesh.link.open().view.number == 1
