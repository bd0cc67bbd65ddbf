"""Acceptors that may have forgotten are replaced; members come and go; an operator accepts a loss."""

from __future__ import annotations

import pytest

from taskmesh.errors import AgreementError, ConfigError, NoMajority
from taskmesh.nodes.acceptor_care import AcceptorCare
from tests.faults.server import Server
from tests.integration.agreement.registers import read, write, write_at


def empty(*servers: Server) -> None:
    for server in servers:
        server.kill()
        server.empty_disk()
        server.start()


def instance_of(server: Server) -> bytes:
    with server.client() as client:
        return client.hget("tm:agreed:ac:instance", "id")


def test_an_emptied_one_is_replaced_by_a_new_instance_at_its_address(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    other = make_mesh(servers)
    for at in range(5):
        write(mesh, f"file/{at}", b"%d" % at)
    before = instance_of(servers[0])
    empty(servers[0])
    configuration = AcceptorCare(mesh.agreement).tend()
    assert configuration.number == 2
    assert instance_of(servers[0]) not in (None, before)
    servers[1].kill()
    for each in (mesh, other, make_mesh(servers)):
        assert [read(each, f"file/{at}") for at in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert write(other, "file/0", b"after") == 2


def test_one_that_may_have_forgotten_is_wiped_when_it_is_replaced(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    servers[2].kill()
    servers[2].start()
    with servers[2].client() as client:
        client.config_set("appendfsync", "everysec")
    AcceptorCare(mesh.agreement).tend()
    with servers[2].client() as client:
        assert not client.keys("tm:agreed:ac:1*")
        assert client.keys("tm:agreed:ac:2:r:*")
    assert read(mesh, "file/a") == b"1"


def test_nothing_changes_where_all_take_part_or_are_silent(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    servers[2].kill()
    assert AcceptorCare(mesh.agreement).tend().number == 1


def test_from_the_data_node_to_three_servers_and_to_others(make_acceptors, make_mesh, data_node):
    mesh = make_mesh([])
    other = make_mesh([])
    write(mesh, "file/a", b"1")
    assert read(other, "file/a") == b"1"
    first, later = make_acceptors(3), make_acceptors(3)
    for servers in (first, later):
        assert AcceptorCare(mesh.agreement).change([server.url for server in servers])
        assert read(mesh, "file/a") == b"1"
    for server in first:
        server.kill()
    # one that knows none of them, nor names them
    assert read(make_mesh([]), "file/a") == b"1"
    assert write(mesh, "file/a", b"2") > 1


def test_one_that_does_not_answer_cannot_come_in(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write(mesh, "file/a", b"1")
    (dead,) = make_acceptors(1)
    dead.kill()
    with pytest.raises(AgreementError, match="an acceptor that is to come in must be there"):
        AcceptorCare(mesh.agreement).change([servers[0].url, servers[1].url, dead.url])
    assert read(mesh, "file/a") == b"1"


def test_one_that_would_throw_away_what_it_promised_does_not_come_in(make_acceptors, make_mesh):
    """Neither as one of the first, nor later, nor after it was emptied; and it is said what to do."""
    servers = make_acceptors(4)
    evicting = servers[3]
    with evicting.client() as client:
        client.config_set("maxmemory", 100_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match=r"allkeys-lru: .*remedy: CONFIG SET maxmemory-policy noeviction"):
        write(make_mesh([*servers[:2], evicting]), "file/a", b"1")
    mesh = make_mesh(servers[:3])
    write(mesh, "file/a", b"1")
    care = AcceptorCare(mesh.agreement)
    wanted = [servers[0].url, servers[1].url, evicting.url]
    with pytest.raises(AgreementError, match=r"cannot be an acceptor: .*remedy: CONFIG SET"):
        care.change(wanted)
    with evicting.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
    assert care.change(wanted).number == 2
    empty(evicting)
    with evicting.client() as client:
        client.config_set("maxmemory", 100_000_000)
        client.config_set("maxmemory-policy", "allkeys-lfu")
    assert care.tend().number == 2
    with evicting.client() as client:
        assert not client.exists("tm:agreed:ac:instance")
        client.config_set("maxmemory-policy", "noeviction")
    assert care.tend().number == 3


def test_a_loss_that_is_accepted(make_acceptors, make_mesh):
    """Two of three were emptied: what the third knows goes on."""
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write_at(mesh, servers[2], "file/a", b"1")
    empty(servers[0], servers[1])
    late = make_mesh(servers)
    late.agreement.registers.patience_s = 0.3
    with pytest.raises(NoMajority, match="readmit --accept-loss"):
        read(late, "file/a")
    assert AcceptorCare(late.agreement).readmit().number == 3
    assert read(late, "file/a") == b"1"
    assert read(mesh, "file/a") == b"1"
    servers[2].kill()
    assert write(mesh, "file/a", b"2") > 1


def test_a_loss_is_not_accepted_for_one_that_may_come_back(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    write_at(mesh, servers[2], "file/a", b"1")
    empty(servers[0])
    servers[1].kill()
    care = AcceptorCare(make_mesh(servers).agreement)
    with pytest.raises(AgreementError, match=f"--lost {servers[1].url}"):
        care.readmit()
    assert {m.address for m in care.readmit([servers[1].url]).members} == {servers[0].url, servers[2].url}
    assert read(mesh, "file/a") == b"1"


def test_when_all_was_lost_it_begins_anew_only_when_told(make_acceptors, make_mesh):
    servers = make_acceptors(3)
    write(make_mesh(servers), "file/a", b"1")
    empty(*servers)
    mesh = make_mesh(servers)
    assert AcceptorCare(mesh.agreement).readmit().number == 1
    assert read(mesh, "file/a") is None
    assert write(make_mesh(servers), "file/a", b"2") == 1


def test_what_others_decided_meanwhile_is_not_undone(make_acceptors, make_mesh):
    """A process that still believes in the configuration before looks after acceptors."""
    servers = make_acceptors(5)
    early = make_mesh(servers[:3])
    write(early, "file/a", b"1")
    assert AcceptorCare(make_mesh([]).agreement).change([server.url for server in servers]).number == 2
    configuration = AcceptorCare(early.agreement).tend()
    assert (configuration.number, len(configuration.members)) == (2, 5)
