"""A process's way to the registers: by the setting, with a data node alone, after a fork."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from taskmesh import TaskMesh
from taskmesh.consensus.listing import names
from taskmesh.errors import ConfigError, NoMajority
from taskmesh.nodes.acceptor_care import AcceptorCare
from tests.integration.agreement.registers import read, write


def test_what_one_process_wrote_another_reads_on_three_acceptors(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"hello")
    assert read(make_mesh(servers), "file/a") == b"hello"
    for server in servers:
        with server.client() as client:
            assert client.hget("tm:agreed:ac:instance", "id")


def test_one_of_three_may_be_dead(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    servers[0].kill()
    write(mesh, "file/a", b"2")
    assert read(make_mesh(servers), "file/a") == b"2"


def test_who_does_not_answer_is_named_where_nothing_can_be_listed(make_acceptors, make_mesh):
    """And those that answer are not: their replies are no reason."""
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    registers = mesh.agreement.registers
    registers.patience_s = 0.1
    for server in servers[1:]:
        server.kill()
    with pytest.raises(NoMajority) as caught:
        mesh.agreement.run(names(registers, "file/"))
    text = str(caught.value)
    assert all(text.count(f"{server.url}: ") == 1 for server in servers[1:]), text
    assert (servers[0].url in text, "CHANGED" in text) == (False, False), text


def test_a_wrong_address_of_the_first_start_can_be_corrected(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    wrong = SimpleNamespace(url="redis://127.0.0.1:1")
    with pytest.raises(NoMajority, match=f"{wrong.url} does not answer: all must, the first time"):
        write(make_mesh([*servers[:2], wrong]), "file/a", b"0")
    assert write(make_mesh(servers), "file/a", b"1") == 1


@pytest.mark.parametrize(
    ("user", "refusal"), [("", "Authentication required"), (":wrong@", "invalid username-password pair")]
)
def test_one_that_wants_another_password_is_told_of(make_acceptors, make_mesh, user, refusal):
    servers = make_acceptors(3)
    with servers[2].client() as client:
        client.config_set("requirepass", "secret")
    url = servers[2].url
    mesh = make_mesh([*servers[:2], SimpleNamespace(url=url.replace("://", f"://{user}"))])
    with pytest.raises(NoMajority, match=f"{url} refuses: {refusal}"):
        write(mesh, "file/a", b"0")
    report = AcceptorCare(mesh.agreement).reports()[2]
    assert report.standing.why.startswith(f"it refuses: {refusal}")
    assert "password" in report.standing.remedy
    servers[2].kill()


def test_a_replica_of_the_first_start_can_be_left_out(make_acceptors, make_mesh):
    servers = make_acceptors(4)
    with servers[3].client() as client:
        client.replicaof("127.0.0.1", servers[0].port)
    with pytest.raises(ConfigError, match="is a replica of another server"):
        write(make_mesh(servers[1:]), "file/a", b"0")
    assert write(make_mesh(servers[:3]), "file/a", b"1") == 1


def test_who_names_no_acceptors_finds_them_and_is_not_told_to_move(make_acceptors, make_mesh, caplog):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    assert read(make_mesh([]), "file/a") == b"1"
    assert not caplog.records
    assert read(make_mesh(make_acceptors(1)), "file/a") == b"1"
    assert "`taskmesh acceptors move` has those hold them" in caplog.text


def test_without_acceptors_the_node_keeps_the_registers():
    with TaskMesh("alone", embedded="private") as mesh:
        assert write(mesh, "file/a", b"hello") == 1
        assert read(mesh, "file/a") == b"hello"


def test_a_private_node_that_is_closed_is_forgotten():
    mesh = TaskMesh("alone", embedded="private")
    write(mesh, "file/a", b"hello")
    mesh.close()
    assert read(mesh, "file/a") is None
    mesh.close()


@pytest.mark.parametrize("count", [1, 3])
def test_a_forked_child_speaks_for_itself(make_acceptors, make_mesh, count):
    mesh = make_mesh(make_acceptors(count))
    agreement = mesh.agreement
    write(mesh, "file/a", b"parent")
    held = agreement.registers
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            # a promise that was given to the parent must not be used by both
            if agreement.registers is not held and write(mesh, "file/a", b"child") == 2:
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read(mesh, "file/a") == b"child"
    assert write(mesh, "file/a", b"parent again") == 3
