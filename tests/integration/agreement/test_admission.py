"""Acceptors that were started anew: admitted if they cannot have forgotten, and silent otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.consensus.registers import Write
from taskmesh.errors import NoMajority
from tests.faults.server import ALWAYS, NEVER, Server
from tests.integration.agreement.registers import read, write
from tests.support import wait_until


def restart(*servers: Server) -> None:
    for server in servers:
        server.kill()
    for server in servers:
        server.start()


def standings(mesh: TaskMesh) -> dict[str, str]:
    """Return by address why an acceptor does not take part; empty for those that do."""
    agreement = mesh.agreement
    _ = agreement.registers
    return {each.address: each.why for each in agreement.run(agreement.admission.admit_all())}


@pytest.mark.parametrize("fsync", [ALWAYS, NEVER])
def test_all_three_come_back_with_their_disks(make_acceptors, make_mesh, fsync):
    servers = make_acceptors(3, fsync=fsync)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    restart(*servers)
    assert read(mesh, "file/a") == b"1"
    assert write(mesh, "file/a", b"2") == 2
    restart(*servers)
    assert read(make_mesh(servers), "file/a") == b"2"


def test_one_that_came_back_is_admitted_by_whoever_opens(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    restart(servers[1])
    late = make_mesh(servers)
    assert read(late, "file/a") == b"1"
    servers[0].kill()
    assert write(late, "file/a", b"2") == 2


@pytest.mark.parametrize("settings", [{"appendfsync": "everysec"}, {"appendonly": "no"}])
def test_one_that_may_have_forgotten_stays_out(make_acceptors, make_mesh, settings):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    restart(servers[2])
    with servers[2].client() as client:
        for name, value in settings.items():
            client.config_set(name, value)
    (name, value) = next(iter(settings.items()))
    # a busy machine may keep one from answering in time
    wait_until(lambda: f"{name} {value}" in standings(mesh)[servers[2].url])
    wait_until(lambda: [bool(standings(mesh)[server.url]) for server in servers] == [False, False, True])
    assert write(mesh, "file/a", b"2") == 2


def test_one_whose_disk_is_older_than_the_witness_stays_out(make_acceptors, make_mesh, tmp_path: Path):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    servers[0].kill()
    servers[0].copy_disk(tmp_path / "older")
    servers[0].start()
    # a busy machine may keep one from answering in time
    wait_until(lambda: standings(mesh)[servers[0].url] == "")
    note_witnesses(mesh, servers)
    before = written(servers[0])
    # on a busy machine two of the three may be enough for a while
    wait_until(lambda: write(mesh, "file/a", b"3") and written(servers[0]) > before + 1)
    note_witnesses(mesh, servers)
    servers[0].kill()
    servers[0].put_disk(tmp_path / "older")
    servers[0].start()
    wait_until(lambda: "its disk is older than it was" in standings(mesh)[servers[0].url])
    assert read(mesh, "file/a") == b"3"


def written(server: Server) -> int:
    """Return how often an acceptor has written."""
    with server.client() as client:
        return int(client.hget("tm:agreed:ac:instance", "count"))


def note_witnesses(mesh: TaskMesh, servers: list[Server]) -> None:
    """Write down how often each had written, as the leader does."""
    import msgspec

    witnesses = {}
    for server in servers:
        with server.client() as client:
            witnesses[client.hget("tm:agreed:ac:instance", "id").decode()] = int(
                client.hget("tm:agreed:ac:instance", "count")
            )
    agreement = mesh.agreement
    content = msgspec.msgpack.encode({"token": 7, "witnesses": witnesses})
    agreement.run(agreement.registers.change("leader", lambda _: Write(content), agreement.operation()))


def test_when_too_few_can_be_admitted_it_says_what_is_known_of_each(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    servers[0].kill()
    servers[1].kill()
    servers[1].empty_disk()
    servers[1].start()
    mesh.agreement.registers.patience_s = 0.5

    def refused() -> str:
        with pytest.raises(NoMajority) as caught:
            read(mesh, "file/a")
        return str(caught.value)

    # on a busy machine the one that takes part may answer too late once
    wait_until(lambda: "1 of 3 acceptors take part, and 2 must" in refused())
    wait_until(
        lambda: f"{servers[0].url}: it does not answer" in (said := refused()) and "it is empty" in said
    )


def test_emptied_acceptors_of_a_mesh_are_not_taken_for_new_ones(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    for server in servers:
        server.kill()
        server.empty_disk()
        server.start()
    mesh = make_mesh(servers)
    mesh.agreement.registers.patience_s = 0.5
    with pytest.raises(NoMajority, match="readmit --accept-loss"):
        read(mesh, "file/a")


def test_a_data_node_that_is_the_only_acceptor_admits_itself(make_mesh, data_node):
    mesh = make_mesh([])
    write(mesh, "file/a", b"1")
    restart(data_node)
    assert read(mesh, "file/a") == b"1"
    assert write(make_mesh([]), "file/a", b"2") == 2


def test_a_data_node_that_lost_everything_begins_anew(make_mesh, data_node):
    mesh = make_mesh([])
    write(mesh, "file/a", b"1")
    with data_node.client() as client:
        client.flushall()
    assert read(mesh, "file/a") is None
    assert write(mesh, "file/a", b"2") == 1
    assert read(make_mesh([]), "file/a") == b"2"


def test_who_names_other_acceptors_finds_those_that_hold_the_registers(make_acceptors, make_mesh, caplog):
    write(make_mesh([]), "file/a", b"1")
    late = make_mesh(make_acceptors(1))
    assert read(late, "file/a") == b"1"
    assert "are held by the acceptors data-node" in caplog.text
