"""No connection is left, or no file: who cannot be served is told so, and all goes on when there is room again."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable

from tests.faults.load import Load
from tests.faults.scene import ROOT, Scene
from tests.faults.server import Server
from tests.support import wait_until

#: A server keeps some thirty of them for itself.
FILES = 64


class Hogs:
    """Idle connections: all that a server has to give."""

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self._held: list[socket.socket] = []

    def take_all(self) -> None:
        """Take every connection that is free."""
        while True:
            one = socket.create_connection(("127.0.0.1", self._port), timeout=90)
            self._held.append(one)
            try:
                one.sendall(b"PING\r\n")
                if not one.recv(100).startswith(b"+PONG"):
                    return
            except ConnectionError:
                return  # it was closed before what it was told could be read

    def let_go(self) -> None:
        for one in self._held:
            one.close()
        self._held.clear()


def test_a_server_with_no_connection_left(
    make_scene: Callable[..., Scene], make_server: Callable[..., Server], seed: int
) -> None:
    server = make_server(files=FILES)
    scene = make_scene("crowded", server.url, send_timeout=0.5)
    scene.worker(2)
    hogs, looker = Hogs(server), server.client()
    looker.ping()

    def crowded() -> bool:
        # at once, and again and again: those who lost their connection are as quick to take one that is free
        for _ in range(100):
            hogs.take_all()
            served = [each for each in looker.client_list() if each["name"].startswith("taskmesh")]
            for client in served:
                looker.client_kill_filter(_id=client["id"])
            if not served:
                break
        return load.refusals >= 3

    try:
        with Load(scene, seed=seed) as load:
            load.ran(100)
            load.presses = True
            wait_until(crowded, what="nobody gets through any more")
            load.presses = False
            hogs.let_go()
            load.ran(100)
    finally:
        hogs.let_go()
        looker.close()
    load.balance()


SENDER = """
import json, os, resource, sys
from taskmesh import TaskMesh
from taskmesh.errors import SendRejected
from tests.apps import ledger_tasks, worker_tasks

mesh = worker_tasks.register(TaskMesh(sys.argv[1], **json.loads(sys.argv[2])))
task = mesh.tasks["tests.apps.ledger_tasks.entry"]
files = []

def fill():
    while True:
        try:
            files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return

def send(word):
    try:
        print(word, "accepted", task.delay(sys.argv[3]).id)
    except SendRejected as error:
        print(word, "rejected", error.task_id, error)

send("first")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
fill()
send("connected")
mesh.link.driver.close()
fill()
send("cut")
for fd in files:
    os.close(fd)
send("last")
mesh.close()
"""


def test_a_sender_that_may_open_no_more_files(scene: Scene) -> None:
    """What cannot be sent is certainly not recorded, and the error names the reason."""
    scene.worker(1)
    load = Load(scene)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SENDER,
            scene.name,
            json.dumps(scene.caller_settings() | {"send_timeout": 5}),
            str(load.folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split()[0]: line.split(maxsplit=3)[1:] for line in done.stdout.splitlines()}
    assert [told[word][0] for word in ("first", "connected", "cut", "last")] == [
        "accepted",
        "accepted",
        "rejected",
        "accepted",
    ]
    assert "Too many open files" in told["cut"][2]
    load.ledger.accepted = {words[1]: "ok" for words in told.values() if words[0] == "accepted"}
    load.ledger.rejected = {told["cut"][1]}
    load.balance()
