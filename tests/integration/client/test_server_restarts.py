"""A server of the user's own that is started anew: whoever speaks with it says so once."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.nodes.embedded import start_private
from taskmesh.nodes.server_binary import find_server
from tests.support import wait_until

TIMEOUT_S = 90.0


class Server:
    """A server that is started by hand, without a guardian."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens: its socket is there a moment before."""
        words = [
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self._folder),
            "--appendonly",
            "yes",
        ]
        self._process = subprocess.Popen([find_server(), *words], stdout=subprocess.DEVNULL)
        wait_until(self._listens, TIMEOUT_S)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(TIMEOUT_S)
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def server(node_exists) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="tm-", dir="/tmp"))
    made = Server(folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


def add(x: int, y: int) -> int:
    return x + y


def test_a_caller_says_once_that_the_server_was_started_anew(server, caplog):
    with TaskMesh("own", nodes=[f"unix://{server.socket}"]) as mesh:
        task = mesh.task(add)
        sent = task.delay(1, 2)
        mesh.close()
        assert sent.state == "PENDING"
        assert "started anew" not in caplog.text, "a new connection alone is nothing to speak of"
        for restarts in (1, 2):
            server.stop()
            server.start()
            with caplog.at_level(logging.WARNING, "taskmesh"):
                task.delay(3, 4)
                mesh.portal.inbox.begin()
                assert sent.state == "PENDING"
            assert caplog.text.count("was started anew") == restarts


def test_an_embedded_node_numbers_its_starts_itself(node_exists):
    with start_private("own") as node, TaskMesh("own", nodes=[f"unix://{node.socket_path}"]) as mesh:
        mesh.link.open()
        assert mesh.link.driver._on_other_server is None


@pytest.mark.parametrize(
    ("ask", "answer"),
    [(lambda result: result.state, "PENDING"), (lambda result: result.revoke(), True)],
    ids=["state", "revoke"],
)
def test_a_process_that_has_just_begun_tries_again_while_the_server_is_away(server, caplog, ask, answer):
    with TaskMesh("own", nodes=[f"unix://{server.socket}"]) as mesh:
        sent = mesh.task(add).delay(1, 2)
    server.stop()
    with (
        TaskMesh("own", nodes=[f"unix://{server.socket}"], send_timeout=TIMEOUT_S) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(ask, other.result(sent.id))
        wait_until(lambda: "trying again for" in caplog.text, TIMEOUT_S)
        assert not waiting.done()
        server.start()
        assert waiting.result(TIMEOUT_S) == answer


def test_a_first_send_waits_for_the_server_as_later_ones_do(server, caplog):
    server.stop()
    with (
        TaskMesh("own", nodes=[f"unix://{server.socket}"], send_timeout=TIMEOUT_S) as mesh,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(mesh.task(add).delay, 1, 2)
        wait_until(lambda: "trying again for" in caplog.text, TIMEOUT_S)
        server.start()
        assert waiting.result(TIMEOUT_S).state == "PENDING"
