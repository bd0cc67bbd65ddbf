"""Acceptors are lost while members are being changed, and whoever changed them died: an operator goes on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from taskmesh import TaskMesh
from taskmesh.consensus.configuration import Member
from taskmesh.consensus.reconfigure import reconfigure
from taskmesh.consensus.registers import Operation
from taskmesh.core.steps import Pause
from taskmesh.errors import AgreementError
from taskmesh.nodes.acceptor_care import AcceptorCare
from tests.faults.server import Server
from tests.integration.agreement.registers import read, write

NAMES = [f"file/{at}" for at in range(5)]


def made(mesh: TaskMesh, servers: Sequence[Server]) -> list[Member]:
    """Make instances of empty servers."""
    found = []
    for at, server in enumerate(servers):
        with server.client() as client:
            run = client.info("server")["run_id"]
            instance = {"id": f"new{at}", "run": run, "boot": "power:", "count": "0"}
            client.hset("tm:agreed:ac:instance", mapping=instance)
        found.append(Member(f"new{at}", server.url))
    return found


def stop_before(mesh: TaskMesh, members: Sequence[Member], script: str, last: str) -> None:
    """Go over to other members, and die before a step is asked for that follows another one."""
    agreement = mesh.agreement
    steps = reconfigure(agreement.registers, members, Operation(b"move"))
    request = next(steps)
    before = ""
    while True:
        if isinstance(request, Pause):
            request = steps.send([])
            continue
        asked = request.calls[0].script
        if asked is not None and asked.name == f"consensus.{script}" and before == f"consensus.{last}":
            return
        before = asked.name if asked is not None else ""
        request = steps.send(agreement.driver.perform(request))


@pytest.fixture
def moving(make_acceptors, make_mesh):
    """Three acceptors with registers, three more that are to take over, and meshes of an operator and of a process."""
    old, new = make_acceptors(3), make_acceptors(3)
    operator, process = make_mesh(old), make_mesh(old)
    for name in NAMES:
        write(process, name, name.encode())
    return old, new, operator, process


def test_new_ones_that_were_decided_for_are_lost(moving, make_mesh):
    """Nothing can be moved any more; the operator says that they never come back."""
    old, new, operator, process = moving
    stop_before(operator, made(operator, new), "init", "accept")
    for server in new[:2]:
        server.kill()
    write(process, "file/0", b"later")
    care = AcceptorCare(make_mesh(old).agreement)
    with pytest.raises(AgreementError, match=r"cannot be opened: .*readmit --accept-loss --lost"):
        care.change([server.url for server in old[:1]])
    with pytest.raises(AgreementError, match=f"--lost {new[0].url}|--lost {new[1].url}"):
        care.readmit()
    configuration = care.readmit([server.url for server in new[:2]])
    assert [member.address for member in configuration.members] == [new[2].url]
    assert care.change([server.url for server in old]).number > configuration.number
    new[2].kill()
    for mesh in (process, make_mesh(old)):
        assert [read(mesh, name) for name in NAMES] == [b"later", *(name.encode() for name in NAMES[1:])]


def test_new_ones_are_lost_before_all_was_taken_over(moving, make_mesh):
    """What only the old ones hold is there afterwards."""
    old, new, operator, process = moving
    stop_before(operator, made(operator, new), "prepare_all", "peek")
    for server in new[:2]:
        server.kill()
        server.empty_disk()
        server.start()
    care = AcceptorCare(make_mesh(old).agreement)
    assert len(care.readmit().members) == 3
    for server in old:
        server.kill()
    for mesh in (process, make_mesh(new)):
        assert [read(mesh, name) for name in NAMES] == [name.encode() for name in NAMES]
    assert write(process, "file/0", b"later") > 1
