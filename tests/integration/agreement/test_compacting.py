"""What was deleted leaves the acceptors by itself, and nobody notices."""

from __future__ import annotations

import threading

import pytest

from taskmesh.consensus.compaction import Compaction
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.scheduler.candidate import Standing
from tests.faults.server import Server
from tests.integration.agreement.registers import read, write
from tests.support import wait_until


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    """Have twenty registers be worth it, and be looked for often."""
    monkeypatch.setattr("taskmesh.nodes.acceptor_care.Compaction", lambda: Compaction(20))
    monkeypatch.setattr("taskmesh.scheduler.care.CARE_S", 0.05)
    monkeypatch.setattr("taskmesh.scheduler.care.COMPACT_S", 0.05)


@pytest.fixture
def lead():
    """Have a mesh's process lead."""
    standings = []

    def begin(mesh) -> Standing:
        standing = Standing(mesh.link, mesh.agreement, "cat").start()
        standings.append(standing)
        wait_until(lambda: standing.tenure is not None, what="it leads")
        return standing

    yield begin
    for standing in standings:
        standing.stop()
        standing.join(90)


def remove_some(mesh, count: int) -> None:
    for at in range(count):
        mesh.files.write(f"gone/{at}", "x")
        mesh.files.delete(f"gone/{at}")


def kept(server: Server) -> list[str]:
    """Return the registers that an acceptor keeps, those of all configurations."""
    with server.client() as client:
        return [key.decode() for key in client.keys("tm:agreed:ac:*:r:*")]


@pytest.mark.parametrize("own", [0, 3])
def test_the_leader_leaves_behind_what_was_deleted(make_acceptors, make_mesh, data_node, lead, own):
    servers = make_acceptors(own)
    mesh, other = make_mesh(servers), make_mesh(servers)
    write(mesh, "file/a", b"1")
    remove_some(other, 25)
    standing = lead(make_mesh(servers))
    token = standing.tenure.token

    def is_small() -> bool:
        kept_there = [kept(server) for server in servers or [data_node]]
        return not any("gone" in name for names in kept_there for name in names)

    wait_until(is_small, what="it is left behind")
    assert AcceptorCare(mesh.agreement).members().number >= 2
    assert [read(each, "file/a") for each in (mesh, other, make_mesh(servers))] == [b"1"] * 3
    assert standing.tenure is not None
    assert standing.tenure.token == token


def test_locks_and_watched_files_go_on_meanwhile(make_acceptors, make_mesh, lead):
    servers = make_acceptors(3)
    lead(make_mesh(servers))
    inside, worst, count, errors = 0, 0, 0, []
    guard = threading.Lock()
    stopping = threading.Event()

    def take(mesh) -> None:
        nonlocal inside, worst, count
        try:
            while not stopping.is_set():
                with mesh.lock("one"):
                    with guard:
                        inside += 1
                        worst = max(worst, inside)
                        count += 1
                    with guard:
                        inside -= 1
        except Exception as error:
            errors.append(error)
            raise

    looker = AcceptorCare(make_mesh(servers).agreement)
    watch = make_mesh(servers).files.watch("told/")
    threads = [threading.Thread(target=take, args=(make_mesh(servers),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    writer = make_mesh(servers)
    told = {}
    try:
        for turn in range(3):
            number = looker.members().number
            remove_some(writer, 25)
            wait_until(lambda before=number: looker.members().number > before, what="it is compacted")
            writer.files.write("told/of", str(turn))
            while told.get("told/of") != str(turn):
                event = watch.get(timeout=90)
                assert event is not None, f"nothing was told of turn {turn}"
                told[event.path] = event.file.text if event.file else None
    finally:
        stopping.set()
        for thread in threads:
            thread.join(90)
        watch.close()
    assert not errors
    assert worst == 1
    assert count > 10
