"""The small files of an embedded node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskmesh.nodes.embedded_files import (
    NodePaths,
    is_locked,
    make_data_folder,
    open_lock,
    read_card,
    read_generation,
    read_small,
    remove,
    remove_tree,
    start_time,
    tail,
    try_lock,
    unlock,
    write_card,
    write_whole,
)
from taskmesh.nodes.embedded_log import rotate_logs
from taskmesh.nodes.embedded_order import Order


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_excludes_others_until_it_is_given_back(tmp_path):
    path = str(tmp_path / "lock")
    assert not is_locked(path)
    assert not (tmp_path / "lock").exists()
    first, second = open_lock(path), open_lock(path)
    assert try_lock(first)
    assert is_locked(path)
    assert not try_lock(second)
    copy = os.dup(first)  # as a fork in another thread would make one
    unlock(first)
    assert not is_locked(path)
    assert try_lock(second)
    unlock(second)
    os.close(copy)


def test_who_asks_for_a_lock_is_not_taken_for_its_holder(tmp_path):
    path = str(tmp_path / "lock")
    asking = open_lock(path)
    assert try_lock(asking, shared=True)
    assert not is_locked(path)
    unlock(asking)


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_as_a_whole(tmp_path, durable):
    path = str(tmp_path / "file")
    assert read_small(path) is None
    write_whole(path, b"one", durable=durable)
    write_whole(path, b"two", durable=durable)
    assert read_small(path) == b"two"
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o077 == 0


def test_a_card_comes_back_as_written(tmp_path):
    path = str(tmp_path / "card")
    assert read_card(path) is None
    fields = {"mesh": "shop", "path": "/with=sign", "strange": os.fsdecode(b"/\xff")}
    write_card(path, fields)
    assert read_card(path) == fields


def test_a_generation_is_a_number_or_refused(tmp_path):
    path = tmp_path / "generation"
    assert read_generation(str(path)) == 0
    path.write_text("41\n")
    assert read_generation(str(path)) == 41
    for damaged in ("", "x", "-1", "4.5"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="should hold how often"):
            read_generation(str(path))


def test_the_tail_of_a_log_begins_where_it_is_told(tmp_path):
    path = tmp_path / "log"
    assert tail(str(path), 0) == ""
    path.write_text("old\n" + "".join(f"line {number}\n" for number in range(100)))
    assert tail(str(path), 4, lines=2) == "line 98\nline 99"
    assert "old" not in tail(str(path), 4, lines=1000)
    assert tail(str(path), 10**9, lines=1) == "line 99"  # the log was moved away since
    path.write_bytes(b"\xff\n")
    assert tail(str(path), 0) == "�"


def test_logs_are_bounded():
    code = """if True:
        import os, sys, tempfile
        from taskmesh.nodes.embedded_files import NodePaths
        from taskmesh.nodes.embedded_log import log, rotate_logs
        with tempfile.TemporaryDirectory() as state:
            paths = NodePaths(state)
            answer = os.dup(1)
            fd = os.open(paths.guardian_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(fd, 2)
            for number in range(1000):
                log(f"line {number}")
                rotate_logs(paths, bytes_max=1000)
            sizes = {name: os.stat(os.path.join(state, name)).st_size for name in os.listdir(state)}
            last = open(paths.guardian_log).read()
        os.write(answer, f"{sorted(sizes)} {max(sizes.values()) < 1100} {'line 999' in last}".encode())
        """
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout == "['guardian.log', 'guardian.log.1'] True True"


def test_the_log_of_a_server_is_moved_away_when_it_is_long(tmp_path):
    paths = NodePaths(str(tmp_path))
    rotate_logs(paths, bytes_max=10)
    (tmp_path / "server.log").write_text("short")
    rotate_logs(paths, bytes_max=10)
    assert names(tmp_path) == ["server.log"]
    (tmp_path / "server.log").write_text("longer than ten bytes")
    rotate_logs(paths, bytes_max=10)
    assert names(tmp_path) == ["server.log.1"]


def test_a_tree_is_removed_and_what_its_links_lead_to_is_not(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").touch()
    (tree / "link").symlink_to(kept)
    (tree / "a" / "dangling").symlink_to(tmp_path / "nowhere")
    remove_tree(str(tree))
    assert names(tmp_path) == ["kept"]
    assert names(kept) == ["file"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove(str(tmp_path / "nothing"))


def test_a_data_folder_keeps_its_data_and_loses_what_a_rewrite_left(tmp_path):
    data = tmp_path / "data"
    make_data_folder(str(data))
    assert data.stat().st_mode & 0o077 == 0
    (data / "appendonlydir").mkdir()
    for name in ("appendonly.aof.manifest", "temp-rewriteaof-bg-17.aof"):
        (data / "appendonlydir" / name).touch()
    (data / "temp-rewriteaof-17.aof").touch()
    make_data_folder(str(data))
    assert names(data) == ["appendonlydir"]
    assert names(data / "appendonlydir") == ["appendonly.aof.manifest"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_process_is_known_by_its_start():
    mine = start_time(os.getpid())
    assert mine.isdigit()
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        assert int(start_time(sleeper.pid)) >= int(mine)
        sleeper.kill()
    assert start_time(sleeper.pid) == ""


def order_with(report_fd: int) -> Order:
    return Order(
        mesh="shop",
        prefix="tm:shop:",
        server="/a path/with spaces",
        paths=NodePaths("/state/shop", "/tmp/sockets"),
        durability="process",
        maxmemory=1 << 40,
        idle_s=0.25,
        owner_fd=-1,
        report_fd=report_fd,
    )


def test_an_order_comes_back_as_given():
    order = order_with(report_fd=7)
    again = Order.from_words(order.words())
    for name in Order.__slots__:
        if name != "paths":
            assert getattr(again, name) == getattr(order, name)
    assert (again.paths.state, again.paths.socket) == ("/state/shop", "/tmp/sockets/socket")


def test_a_report_is_made_once_and_ended():
    reading, writing = os.pipe()
    order = order_with(report_fd=writing)
    assert order.report("failed", "two\nlines")
    assert order.report("failed", "nobody is told twice")
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"failed two\nlines\0"


def test_a_report_to_somebody_who_is_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    assert not order_with(report_fd=writing).report("ready")
