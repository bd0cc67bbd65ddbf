"""The node's disk: as it was, an older one, cut short, empty, full. What is promised differs, and is kept."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmesh.errors import SendError
from taskmesh.nodes.embedded import PrivateNode, start_private
from tests.apps.ledger_tasks import entry
from tests.faults.load import Load
from tests.faults.scene import Scene
from tests.faults.server import ALWAYS, Server
from tests.faults.small_disk import SmallDisk


def test_a_killed_server_with_its_disk_as_it_was(
    make_scene: Callable[..., Scene], server: Server, seed: int
) -> None:
    """A server of yours, with nobody who starts it again at once: it is missing for a while."""
    scene = make_scene("disk", server.url, send_timeout=1.0)
    scene.worker(2)
    with Load(scene, seed=seed) as load:
        for _ in range(2):
            load.ran(100)
            server.kill()
            load.refused()
            server.start()
        load.ran(100)
    load.balance()


class Own:
    """A server of yours."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self._server = server

    def copy(self, to: Path) -> None:
        self._server.send(signal.SIGSTOP)
        self._server.copy_disk(to)
        self._server.send(signal.SIGCONT)

    def bring_back(self, copy: Path) -> None:
        self._server.kill()
        self._server.put_disk(copy)
        self._server.start()


class Embedded:
    """The embedded node; its guardian is held meanwhile, and starts the server again."""

    def __init__(self, node: PrivateNode) -> None:
        self.url = f"unix://{node.socket_path}"
        self._node = node

    def copy(self, to: Path) -> None:
        pid = self._node.server_pid
        os.kill(pid, signal.SIGSTOP)
        shutil.copytree(self._node.data_dir, to)
        os.kill(pid, signal.SIGCONT)

    def bring_back(self, copy: Path) -> None:
        os.kill(self._node.guardian_pid, signal.SIGSTOP)
        os.kill(self._node.server_pid, signal.SIGKILL)
        for old in self._node.data_dir.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        shutil.copytree(copy, self._node.data_dir, dirs_exist_ok=True)
        os.kill(self._node.guardian_pid, signal.SIGCONT)


@pytest.fixture(params=["a server of yours", "the embedded node"])
def node(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Own | Embedded]:
    if request.param == "a server of yours":
        yield Own(make_server())
        return
    with start_private("older", durability="process") as private:
        yield Embedded(private)


def test_an_older_disk(
    make_scene: Callable[..., Scene], node: Own | Embedded, tmp_path: Path, seed: int
) -> None:
    """What had ended before the copy stays as it was, what waited then ends; what came later is gone."""
    scene = make_scene("older", node.url, send_timeout=1.0)
    scene.worker(2)
    with Load(scene, seed=seed) as load:
        load.ran(150)
        load.look()
        ended = {task_id for task_id, seen in load.ledger.readings[-1].seen.items() if seen.is_final}
        before = set(load.ledger.accepted)
        node.copy(tmp_path / "copy")
        load.ran(150)
        later = set(load.ledger.sent())
        node.bring_back(tmp_path / "copy")
        load.told()
        came = load.ledger.accepted.copy()
        load.accepted(50)
    assert len(ended) > 100
    # between the copy and the end of that server: gone, or on the copy already
    load.ledger.lost = (later | came.keys()) - before
    load.ledger.older = before - ended
    load.balance(counted=False)


def test_a_file_cut_in_mid_command(make_scene: Callable[..., Scene], server: Server) -> None:
    """The last command is lost, and nothing else; the same id can be sent again."""
    scene = make_scene("cut-short", server.url)
    load = Load(scene)
    for _ in range(50):
        load.send()
    last = load.send()
    server.kill()
    size = server.appended().stat().st_size
    os.truncate(server.appended(), size - 5)
    server.start()
    assert scene.record(last) is None
    load.ledger.unknown[last] = load.ledger.accepted.pop(last)
    assert load.send(task_id=last) == last
    scene.worker(2)
    load.balance()


def test_a_file_cut_in_mid_command_is_not_taken_for_whole(
    make_scene: Callable[..., Scene], make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """With `disk`, whose promise is more: the server refuses to start rather than forget what it confirmed."""
    server = make_server(fsync=ALWAYS)
    scene = make_scene("refuses", server.url, send_timeout=0.2)
    load = Load(scene)
    for _ in range(20):
        load.send()
    server.kill()
    server.copy_disk(tmp_path / "whole")
    os.truncate(server.appended(), server.appended().stat().st_size - 5)
    server.try_to_start()
    assert server.ended() != 0
    assert "Unexpected end of file" in server.said()
    with pytest.raises(SendError):
        scene.task(entry).delay(str(load.folder))
    server.put_disk(tmp_path / "whole")
    server.start()
    scene.worker(2)
    load.balance()


def test_an_empty_disk(make_scene: Callable[..., Scene], server: Server, seed: int) -> None:
    """What was accepted is gone, and nothing else goes wrong: everybody joins what is a new mesh."""
    scene = make_scene("empty", server.url, send_timeout=1.0)
    worker = scene.worker(2)
    with Load(scene, seed=seed) as load:
        load.ran(100)
        server.kill()
        load.refused()  # by then all is entered that the old one has answered
        before = load.ledger.sent()
        server.empty_disk()
        server.start()
        load.ledger.lost |= before.keys() | load.ledger.unknown.keys()
        worker.says("it begins anew")
        load.accepted(100)
    load.balance(counted=False)


@pytest.mark.needs_root
def test_a_full_disk(
    small_disk: SmallDisk, make_scene: Callable[..., Scene], make_server: Callable[..., Server], seed: int
) -> None:
    """Sends are refused, nothing that runs is lost or charged, and all goes on when there is room again."""
    server = make_server(folder=small_disk.folder)
    scene = make_scene("full-disk", server.url, send_timeout=1.0)
    worker = scene.worker(2)
    with Load(scene, seed=seed) as load:
        load.ran(100)
        small_disk.fill()
        load.refused(3)
        worker.says("refuses for now")
        small_disk.make_room()
        load.ran(100)
    assert "MISCONF" in worker.said()
    load.balance()
    server.close()


def test_full_memory(make_scene: Callable[..., Scene], server: Server, seed: int) -> None:
    """Sends are refused while claims and commits go on; when there is room, all does."""
    scene = make_scene("full-memory", server.url, send_timeout=1.0)
    scene.worker(2)
    with Load(scene, seed=seed) as load:
        load.ran(100)
        scene.node.config_set("maxmemory", "1mb")
        load.refused(5)
        load.all_ran()
        scene.node.config_set("maxmemory", "0")
        load.ran(100)
    load.balance()
