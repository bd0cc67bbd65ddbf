"""Several processes append to one register while acceptors are killed, stopped, cut off, and lose their disks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmesh.coordination.leader import unpack_leader
from taskmesh.scheduler.candidate import Standing
from tests.faults.proxy import Proxy, Way
from tests.faults.server import Server
from tests.integration.agreement.appender import REGISTER, unpacked
from tests.integration.agreement.history import check
from tests.integration.agreement.registers import read
from tests.support import wait_until

pytestmark = pytest.mark.slow
PROCESSES = 3


@pytest.fixture(scope="module", autouse=True)
def patient() -> None:
    """Have nobody wait long for an acceptor: here they are stopped and cut off."""


class Stage:
    """Acceptors, processes that append, and a leader that looks after the acceptors."""

    def __init__(
        self, servers: list[Server], ways: list[Proxy], mesh: Any, node: Server, folder: Path
    ) -> None:
        self.servers = servers
        self.ways = ways
        self.mesh = mesh
        self.stop_file = folder / "stop"
        self.logs = [folder / f"log-{number}" for number in range(PROCESSES)]
        urls = ",".join(way.url for way in ways)
        self.processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "tests.integration.agreement.appender", node.url, urls),
                    *(str(number + 1), str(log), str(self.stop_file)),
                ]
            )
            for number, log in enumerate(self.logs)
        ]

    def done(self) -> int:
        """Return how many appends were acknowledged to the process that was told of fewest."""
        return min(log.read_text().count('"outcome": "ok"') if log.exists() else 0 for log in self.logs)

    def goes_on(self) -> None:
        """Wait until every process has had some more acknowledged."""
        before = self.done()
        wait_until(lambda: self.done() >= before + 5, what="all processes go on")

    def finish(self) -> None:
        """End the processes, and judge."""
        self.stop_file.touch()
        assert [process.wait(90) for process in self.processes] == [0] * PROCESSES
        history = [json.loads(line) for log in self.logs for line in log.read_text().splitlines()]
        check(history, unpacked(read(self.mesh, REGISTER)))

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(90)

    # -- harm ----------------------------------------------------------------------

    def instance(self, server: Server) -> tuple[str, bool]:
        """Return which instance a server is, and whether it is admitted."""
        with server.client() as client:
            known = client.hgetall("tm:agreed:ac:instance")
            run = client.info("server")["run_id"]
            return known.get(b"id", b"").decode(), known.get(b"run", b"").decode() == run

    def comes_back(self, server: Server, *, as_another_than: str = "") -> None:
        """Wait until a server takes part, as another instance where it must not be the one it was."""

        def is_back() -> bool:
            instance, admitted = self.instance(server)
            return bool(instance) and admitted and instance != as_another_than

        wait_until(is_back, what=f"it takes part, and not as {as_another_than!r}")

    def count_of(self, server: Server) -> int:
        with server.client() as client:
            return int(client.hget("tm:agreed:ac:instance", "count"))

    def witness_of(self, instance: str) -> int:
        return unpack_leader(read(self.mesh, "leader")).witnesses.get(instance, 0)


@pytest.fixture
def stage(request, make_acceptors, make_mesh, data_node, tmp_path, monkeypatch) -> Iterator[Stage]:
    monkeypatch.setattr("taskmesh.scheduler.care.CARE_S", 0.2)
    servers = make_acceptors(request.param)
    ways = [Proxy(server.port) for server in servers]
    own = make_mesh(ways)
    leader = Standing(own.link, own.agreement, "leader").start()
    made = Stage(servers, ways, make_mesh(ways), data_node, tmp_path)
    try:
        wait_until(lambda: leader.tenure is not None, what="it leads")
        made.goes_on()
        yield made
        made.finish()
    finally:
        made.close()
        leader.stop()
        leader.join(90)
        for way in ways:
            way.close()


def minority(stage: Stage) -> list[Server]:
    return stage.servers[: len(stage.servers) // 2]


@pytest.mark.parametrize("stage", [3, 5], indirect=True)
def test_killed_and_started_again_and_stopped_and_resumed(stage: Stage) -> None:
    for server in minority(stage):
        server.kill()
    stage.goes_on()
    for server in minority(stage):
        server.start()
        stage.comes_back(server)
    for server in stage.servers:
        # a majority restarts, one after the other, without a pause
        server.kill()
        server.start()
    stage.goes_on()
    for server in minority(stage):
        server.send(signal.SIGSTOP)
    stage.goes_on()
    for server in minority(stage):
        server.send(signal.SIGCONT)
    stage.goes_on()


@pytest.mark.parametrize("stage", [3], indirect=True)
def test_cut_off_and_deaf(stage: Stage) -> None:
    for way in (Way.HOLE, Way.DEAF, Way.CLOSED):
        for proxy in stage.ways[: len(minority(stage))]:
            proxy.be(way)
        stage.goes_on()
        for proxy in stage.ways:
            proxy.be(Way.PASS)
        stage.goes_on()


@pytest.mark.parametrize("stage", [5], indirect=True)
def test_emptied_and_an_older_disk(stage: Stage, tmp_path: Path) -> None:
    server = stage.servers[0]
    server.kill()
    server.copy_disk(tmp_path / "older")
    server.start()
    stage.comes_back(server)
    instance, _ = stage.instance(server)
    count = stage.count_of(server)
    wait_until(lambda: stage.witness_of(instance) > count, what="the leader has seen that it wrote more")
    server.kill()
    server.put_disk(tmp_path / "older")
    server.start()
    stage.comes_back(server, as_another_than=instance)
    stage.goes_on()
    instance, _ = stage.instance(server)
    server.kill()
    server.empty_disk()
    server.start()
    stage.comes_back(server, as_another_than=instance)
    stage.goes_on()


@pytest.mark.parametrize("stage", [3], indirect=True)
def test_a_file_that_was_cut(stage: Stage) -> None:
    server = stage.servers[0]
    instance, _ = stage.instance(server)
    wait_until(
        lambda: stage.witness_of(instance) * 4 > stage.count_of(server) > 100,
        what="the leader has seen it write",
    )
    server.kill()
    whole = server.appended().read_bytes()
    # inside a command: the server says so, and does not start
    server.appended().write_bytes(whole[:-3])
    server.try_to_start()
    assert server.ended() != 0
    stage.goes_on()
    # at the end of a command: nobody but the witness can tell
    end = b"*1\r\n$4\r\nEXEC\r\n"
    server.appended().write_bytes(whole[: whole.index(end, len(whole) // 20) + len(end)])
    server.start()
    assert stage.instance(server) != (instance, True)
    stage.comes_back(server, as_another_than=instance)
    stage.goes_on()
