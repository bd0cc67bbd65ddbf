"""A process's way to the registers: by the setting, with a data node alone, after a fork."""

from __future__ import annotations

import os

import pytest

from taskmesh import TaskMesh
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
