"""What is looked at before servers that are named become the nodes of a mesh, or are taken for its nodes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from taskmesh.codec.keyring import Keyring
from taskmesh.core import keys
from taskmesh.errors import ConfigError, NodeUnavailable
from taskmesh.nodes import known_members
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link
from taskmesh.replication.ask import plain
from tests.integration.several.conftest import KEY, MESH, SLOTS
from tests.nodes import Nodes

pytestmark = pytest.mark.needs_server

PROMISED = {"durability": "process"}


def configure(nodes: Nodes, at: int, **settings: str) -> None:
    with nodes[at].client() as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)


def keys_of(nodes: Nodes) -> list[bytes]:
    found: list[bytes] = []
    for node in nodes:
        with node.client() as client:
            found += client.keys()
    return found


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"appendonly": "no"}, "set appendonly yes"),
        ({"appendfsync": "everysec"}, "set no (survives the death of processes) or always"),
        ({"maxmemory_policy": "allkeys-lru"}, "set noeviction"),
    ],
)
def test_no_mesh_is_made_of_a_server_that_could_not_be_added_to_it(three_nodes, make_link, setting, says):
    configure(three_nodes, 1, **setting)
    with pytest.raises(ConfigError) as refused:
        make_link(**PROMISED).open()
    text = str(refused.value)
    assert f"{three_nodes[1].url} cannot be a node: " in text
    assert says in text
    assert three_nodes[0].url not in text
    assert refused.value.setting == "nodes"
    assert keys_of(three_nodes) == []


def test_nor_of_one_that_follows_another(three_nodes, make_link):
    with three_nodes[2].client() as client:
        client.replicaof(three_nodes[0].host, three_nodes[0].port)
    with pytest.raises(ConfigError, match="it is a replica of another server"):
        make_link(**PROMISED).open()


def test_all_that_is_wrong_is_said_of_each(three_nodes, make_link):
    configure(three_nodes, 0, appendonly="no", maxmemory_policy="volatile-lru")
    configure(three_nodes, 2, appendfsync="everysec")
    with pytest.raises(ConfigError) as refused:
        make_link(**PROMISED).open()
    text = str(refused.value)
    for says in (
        three_nodes[0].url,
        "appendonly yes",
        "noeviction",
        three_nodes[2].url,
        "appendfsync everysec",
    ):
        assert says in text


def test_servers_of_which_nothing_is_to_survive_need_keep_nothing(three_nodes, make_link):
    for at in range(3):
        configure(three_nodes, at, appendonly="no")
    assert make_link(durability="memory").open().nodes == ("n1", "n2", "n3")


def test_power_loss_asks_for_more(three_nodes, make_link):
    with pytest.raises(ConfigError, match="a power loss may lose messages"):
        make_link(durability="disk").open()


def test_a_mesh_that_exists_is_joined_whatever_becomes_of_its_servers(three_nodes, make_link):
    make_link(**PROMISED).open()
    configure(three_nodes, 1, appendfsync="everysec")
    assert make_link(**PROMISED).open().nodes == ("n1", "n2", "n3")


def test_one_node_is_looked_at_by_nobody(three_nodes, make_link):
    configure(three_nodes, 0, appendonly="no", maxmemory_policy="allkeys-lru")
    assert make_link(0, **PROMISED).open().view is None


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_node_that_refuses_the_password_is_told_of_at_once(three_nodes, given, caplog):
    """Waiting mends nothing, though the others let us in."""
    configure(three_nodes, 1, requirepass="right")
    link = link_to(three_nodes, given, patience_s=60)
    began_s = time.monotonic()
    with pytest.raises(NodeUnavailable) as refused:
        link.reach()
    link.close()
    assert time.monotonic() - began_s < 30
    assert refused.value.lasts
    assert str(refused.value).count(three_nodes[1].url) == 1
    assert f"node {three_nodes[1].url} refuses this process" in caplog.text


def test_where_there_is_a_mesh_it_is_told_of_once_and_the_others_serve(three_nodes, make_link, caplog):
    make_link(**PROMISED).open()
    configure(three_nodes, 1, requirepass="right")
    for _ in range(2):
        link = link_to(three_nodes, "wrong").open()
        (refusing,) = [member.id for member in link.view.members if member.address == three_nodes[1].url]
        for _ in range(3):
            with pytest.raises(NodeUnavailable):
                link.at(refusing).run(plain(link.session, b"PING"))
        link.close()
    assert caplog.text.count("refuses this process") == 1


def link_to(nodes: Nodes, password: str, **options: Any) -> Link:
    """Return a link that knows the second node by a password."""
    urls = nodes.urls
    if password:
        urls[1] = urls[1].replace("://", f"://:{password}@")
    addresses = [NodeAddress(url) for url in urls]
    return Link(MESH, lambda: addresses, lambda: Keyring.from_secret(KEY), slots=SLOTS, **options)


@pytest.mark.parametrize("alone", [(0,), (1,), (2,)])
def test_nodes_of_different_meshes_are_told_apart(three_nodes, make_link, alone):
    others = {0, 1, 2} - set(alone)
    make_link(*others).open()
    make_link(*alone).open()
    for _ in range(5):
        with pytest.raises(ConfigError) as refused:
            make_link().open()
        text = str(refused.value)
        assert "belong to different meshes of this name" in text
        assert three_nodes[alone[0]].url in text


def test_of_two_meshes_of_several_nodes_neither_is_taken(make_nodes, make_link):
    nodes = make_nodes(4)
    with_four = [NodeAddress(url) for url in nodes.urls]
    for some in (with_four[:2], with_four[2:], with_four):
        link = Link(MESH, lambda some=some: some, lambda: Keyring.from_secret(KEY), slots=SLOTS)
        if len(some) == 2:
            link.open()
        else:
            with pytest.raises(ConfigError, match="belong to different meshes of this name"):
                link.open()
        link.close()


def test_a_member_whose_server_is_gone_keeps_nobody_waiting_for_its_mesh(three_nodes, make_link):
    make_link(**PROMISED).open()
    three_nodes.kill(1)
    three_nodes.start(1, empty=True)
    with three_nodes[1].client() as client:
        client.hset(keys.meta(keys.prefix(MESH)), "mesh_id", "another")
    assert make_link(**PROMISED).open().view.number == 1


def test_who_has_known_the_mesh_makes_no_second_one_where_a_node_came_back_empty(three_nodes, make_link):
    make_link().open()
    three_nodes.kill(0)
    three_nodes.start(0, empty=True)
    assert make_link(0).open().nodes == ("n1", "n2", "n3")
    for at in (1, 2):
        three_nodes.kill(at)
    with pytest.raises(
        NodeUnavailable, match="No second mesh is made in its place: start the other servers again"
    ):
        make_link(0).open()
    with three_nodes[0].client() as client:
        assert client.keys() == []


def test_who_was_told_where_the_members_are_finds_them_by_one_that_came_back_empty(three_nodes, make_link):
    """As a child of a worker is told by its supervisor."""
    make_link().open()
    three_nodes.kill(0)
    three_nodes.start(0, empty=True)
    known_members.forget()
    known_members.remember(keys.prefix(MESH), three_nodes.urls)
    assert make_link(0).open().nodes == ("n1", "n2", "n3")


def test_one_that_is_to_be_added_may_be_named_before(three_nodes, make_link):
    make_link(0, 1).open()
    assert make_link().open().nodes == ("n1", "n2")


def test_another_number_of_copies_than_the_mesh_has_is_told_of(three_nodes, make_link, caplog):
    make_link(replicas=3).open()
    make_link(replicas=3).open()
    make_link().open()
    assert "replicas" not in caplog.text
    link = make_link(replicas=2).open()
    link.close()
    link.open()
    assert link.view.replicas == 3
    assert caplog.text.count("was made with replicas=3 and keeps that number") == 1
    assert "replicas=2 has no effect" in caplog.text
