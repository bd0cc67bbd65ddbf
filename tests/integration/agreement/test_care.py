"""The leader looks after acceptors, settings and sessions by itself."""

from __future__ import annotations

import pytest

from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.scheduler.candidate import Standing
from tests.faults.server import NEVER
from tests.integration.agreement.registers import read, write
from tests.support import wait_until


@pytest.fixture
def leader(make_acceptors, make_mesh, monkeypatch):
    """Three acceptors, a mesh, and a candidate of it that leads."""
    monkeypatch.setattr("taskmesh.scheduler.care.CARE_S", 0.05)
    servers = make_acceptors(3)
    mesh, own = make_mesh(servers), make_mesh(servers)
    standing = Standing(own.link, own.agreement, "cat").start()
    wait_until(lambda: standing.tenure is not None, what="it leads")
    yield servers, mesh
    standing.stop()
    standing.join(90)


def test_an_emptied_acceptor_is_replaced(leader):
    servers, mesh = leader
    write(mesh, "file/a", b"1")
    servers[0].kill()
    servers[0].empty_disk()
    servers[0].start()

    def is_in_force() -> bool:
        with servers[0].client() as client:
            return client.hget("tm:agreed:ac:instance", "configuration") == b"2"

    wait_until(is_in_force, what="it is a member again")
    # it is told before those before are sealed; until all is taken over, a majority of those is still needed
    wait_until(lambda: AcceptorCare(mesh.agreement).members().number == 2, what="all is taken over")
    servers[1].kill()
    assert read(mesh, "file/a") == b"1"


def test_one_that_was_started_anew_is_admitted_and_counts_again(leader):
    servers, mesh = leader
    write(mesh, "file/a", b"1")
    servers[0].kill()
    servers[0].start()

    def is_admitted() -> bool:
        with servers[0].client() as client:
            admitted = client.hget("tm:agreed:ac:instance", "run").decode()
            return admitted == client.info("server")["run_id"]

    wait_until(is_admitted, what="it is admitted")
    with servers[0].client() as client:
        assert client.hget("tm:agreed:ac:instance", "configuration") == b"1"


def test_a_node_that_forgot_what_is_paused_is_told(leader, data_node):
    _, mesh = leader
    mesh.pause_queue("mail")
    with data_node.client() as client:
        client.delete("tm:agreed:paused")
    wait_until(lambda: mesh.paused_queues() == ["mail"], what="it is paused again")


def test_one_that_falls_silent_is_told_of_and_so_is_its_return(leader, caplog, monkeypatch):
    servers, mesh = leader
    caplog.set_level("INFO", "taskmesh.scheduler")
    servers[2].kill()
    wait_until(lambda: f"acceptor {servers[2].url} does not answer" in caplog.text, what="it is told of")
    assert write(mesh, "file/a", b"1") == 1
    servers[2].start()
    wait_until(lambda: f"acceptor {servers[2].url} answers again" in caplog.text, what="and that it is back")
    assert caplog.text.count("does not answer") == 1


@pytest.mark.slow
def test_the_end_of_a_majority_is_told_of_again_and_again_and_so_is_its_return(leader, caplog, monkeypatch):
    servers, _ = leader
    caplog.set_level("INFO", "taskmesh.scheduler")
    for server in servers[1:]:
        server.kill()
    monkeypatch.setattr("taskmesh.scheduler.hindrance.AGAIN_S", 1.0)
    told = (
        "cannot take part in the election of the leader, for ",
        "acceptors, settings and sessions cannot be seen to",
    )
    wait_until(lambda: all(each in caplog.text for each in told), what="it is told of")
    for server in servers[1:]:
        server.start()
    told = (
        "can take part in the election of the leader again, after ",
        "acceptors, settings and sessions are seen to again",
    )
    wait_until(lambda: all(each in caplog.text for each in told), what="and that it is back")


def test_what_is_unsafe_is_said_by_whoever_leads(make_acceptors, make_mesh, caplog):
    servers = make_acceptors(1, fsync=NEVER)
    write(make_mesh(servers), "file/a", b"1")
    own = make_mesh(servers)
    caplog.clear()
    standing = Standing(own.link, own.agreement, "cat").start()
    said = f"acceptor {servers[0].url} may forget: appendfsync no; CONFIG SET appendfsync always"
    wait_until(lambda: said in caplog.text, what="it is said")
    standing.stop()
    standing.join(90)
