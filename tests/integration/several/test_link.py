"""A process's link to a mesh of three nodes: real servers, the view written to them by hand."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh.core import keys
from taskmesh.core.ids import make_id, slot_of
from taskmesh.core.record import head_parts
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.agreement import Agreement
from taskmesh.nodes.async_subscription import AsyncSubscription
from taskmesh.nodes.several import Several
from taskmesh.nodes.subscription import Subscription
from taskmesh.queue.enqueue import NewMessage, enqueue
from taskmesh.replication.ask import plain
from taskmesh.results.read import read
from tests.integration.several.conftest import MESH, NODES, SLOTS, activate, view_of
from tests.support import wait_until

pytestmark = pytest.mark.needs_server

PREFIX = keys.prefix(MESH)
NOW_MS = 1_800_000_000_000


def message(at: int) -> NewMessage:
    """Return a message whose slot is that of its number."""
    routing = at * (65536 // SLOTS) % 65536
    task_id = make_id(NOW_MS, routing, os.urandom(8))
    start, middle, end, names = head_parts(
        state=b"P", queue=b"q", channel=b"c" * 16, function=b"", priority=4, flags=0, result_ttl_s=3600
    )
    slot = b"%04x" % slot_of(routing, SLOTS)
    record = start + slot + middle + b"%012x" % NOW_MS + b"%012x" % 0 + end + names + b"envelope"
    return NewMessage(task_id.encode(), record, slot, b"q", NOW_MS)


def send(link, messages, within_s: float | None = None):
    return link.ask(lambda left_s: enqueue(link.session, messages, patience_s=left_s), within_s)


def copies(nodes, task_id: bytes) -> set[str]:
    """Return the nodes that run and have a copy."""
    found = set()
    for at, node in enumerate(NODES):
        with nodes[at].client() as client:
            if client.exists(PREFIX + b"r:" + task_id):
                found.add(node)
    return found


def test_it_joins_and_sends_to_all(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    assert link.nodes == NODES
    assert link.view == view_of(three_nodes)
    assert link.session.epoch == b"f00000000001"
    assert link.session.slots == SLOTS
    messages = [message(at) for at in range(SLOTS)]
    sent = send(link, messages)
    assert len(sent.accepted) == SLOTS
    for each in messages:
        # W at once; a third one is not sent to a node that was still being connected to: levelling brings it
        assert len(copies(three_nodes, each.task_id)) >= 2
    found = link.run(read(link.session, [each.task_id.decode() for each in messages]))
    assert None not in found


def test_one_address_is_enough_and_the_others_are_learned(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    for at in range(3):
        link = make_link(at).open()
        assert link.nodes == NODES
        assert len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS


def test_a_dead_node_keeps_nobody_from_joining(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    three_nodes.kill(0)
    link = make_link().open()
    assert link.nodes == NODES
    mine = [message(at) for at in range(SLOTS) if link.view.primary(at) != "n1"]
    assert len(send(link, mine).accepted) == len(mine)


def test_a_stopped_node_keeps_nobody_from_joining(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    three_nodes.stop(0)
    link = make_link().open()
    mine = [message(at) for at in range(SLOTS) if link.view.primary(at) != "n1"]
    assert len(send(link, mine).accepted) == len(mine)


def test_the_newest_view_counts_and_an_older_one_is_corrected(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    newer = view_of(three_nodes, 7, without=("n3",))
    activate(three_nodes, newer)
    assert make_link().open().view == newer
    assert len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS
    assert link.view == newer
    assert link.nodes == ("n1", "n2")


def test_what_a_dead_primary_kept_goes_on_in_the_next_view(three_nodes, make_link):
    """The dead one never says so: the others are asked."""
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    its = [message(at) for at in range(SLOTS) if link.view.primary(at) == "n1"]
    three_nodes.kill(0)
    sent = send(link, its, within_s=0.2)
    assert not sent.accepted
    activate(three_nodes, view_of(three_nodes, 2, without=("n1",)))
    assert len(send(link, its).accepted) == len(its)
    assert link.view.number == 2


def test_a_node_that_was_started_anew_is_not_spoken_with_before_a_view_admits_it(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    send(link, [message(at) for at in range(SLOTS)])
    three_nodes.kill(2)
    three_nodes.start(2)
    first = make_link().open()
    for each in (link, first):
        with pytest.raises(NodeUnavailable, match="waits to be admitted"):
            each.at("n3").run(plain(link.session, b"PING"))
    activate(three_nodes, view_of(three_nodes, 2))
    send(link, [message(at) for at in range(SLOTS)])
    assert link.view.number == 2
    assert link.at("n3").run(plain(link.session, b"PING")) == b"PONG"


def test_the_link_to_one_node_is_the_link_in_all_else(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    assert link.at("") is link
    for at, node in enumerate(NODES):
        one = link.at(node)
        assert one is link.at(node)
        assert one.run(plain(link.session, b"GET", PREFIX + b"own")) == link.view.own(node)
        assert one.driver.address.url == three_nodes[at].url
        assert one.session is link.session
        assert one.channel == link.channel
        assert one.clock is link.clock
        assert one.nodes == NODES
        assert one.is_open
        assert one.at("n1") is link.at("n1")
        assert one.open() is one
        assert one.ask(lambda _: plain(link.session, b"PING")) == b"PONG"


def test_an_unopened_link_is_opened_by_one_to_a_node(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link()
    assert link.driver.address
    assert link.at("n2").run(plain(link.session, b"PING")) == b"PONG"
    assert link.is_open


def test_who_listens_listens_at_each_node(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    for at, node in enumerate(NODES):
        subscription = Subscription(link.at(node).driver, [b"channel"])
        with three_nodes[at].client() as client:
            assert client.publish("channel", node) == 1
        assert wait_until(lambda s=subscription: s.read(1.0)) == node.encode()
        subscription.close()
    three_nodes.kill(0)
    Subscription(link.driver, [b"channel"]).close()


def test_in_event_loops(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link()
    messages = [message(at) for at in range(SLOTS)]

    async def main():
        await link.open_async()
        sent = await link.run_async(enqueue(link.session, messages))
        assert len(sent.accepted) == SLOTS
        for at, node in enumerate(NODES):
            one = link.at(node)
            assert await one.run_async(plain(link.session, b"GET", PREFIX + b"own")) == link.view.own(node)
            heard = asyncio.get_running_loop().create_future()
            subscription = AsyncSubscription(one.async_driver, heard.set_result, print)
            await subscription.listen([b"channel"])
            with three_nodes[at].client() as client:
                client.publish("channel", node)
            assert await heard == node.encode()
            subscription.close()
        three_nodes.kill(0)
        subscription = AsyncSubscription(link.async_driver, print, print)
        await subscription.listen([b"channel"])
        subscription.close()

    asyncio.run(asyncio.wait_for(main(), 240))


def test_a_forked_process_has_a_link_of_its_own(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    link = make_link().open()
    send(link, [message(at) for at in range(SLOTS)])
    channel = link.at("n1").channel
    pid = os.fork()
    if pid == 0:
        good = False
        try:
            good = len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS
            good = good and link.at("n1").channel == link.channel != channel
        finally:
            os._exit(0 if good else 1)
    assert len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS
    assert os.waitpid(pid, 0)[1] == 0


def test_the_first_who_comes_makes_the_mesh(three_nodes, make_link):
    link = make_link(2, 0, 1).open()
    assert link.nodes == NODES
    assert link.view.number == 1
    assert link.view.replicas == 3
    assert len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS
    assert make_link().open().view == link.view


def test_all_who_come_at_once_make_the_same_mesh(three_nodes, make_link):
    links = [make_link(2, 0, 1), make_link(0, 1, 2), make_link(), make_link(1, 2, 0)]
    with ThreadPoolExecutor(len(links)) as threads:
        views = list(threads.map(lambda link: link.open().view, links))
    assert views == [views[0]] * len(links)
    for link in links:
        assert len(send(link, [message(at) for at in range(SLOTS)]).accepted) == SLOTS


def test_a_node_may_be_lost_as_soon_as_the_mesh_is_made(three_nodes, make_link):
    """The registers, by which another takes its place, were made with it: for that all had to answer."""
    make_link().open()
    three_nodes.kill(1)
    registers = Agreement(make_link().open()).registers
    assert registers.chain


def test_it_is_not_made_as_long_as_one_is_away(three_nodes, make_link):
    three_nodes.kill(1)
    with pytest.raises(NodeUnavailable, match="must answer when a mesh of several nodes is made"):
        make_link().open()


def test_nobody_is_there(three_nodes, make_link):
    for at in range(3):
        three_nodes.kill(at)
    with pytest.raises(NodeUnavailable, match="no node answers"):
        make_link().open()


def test_the_password_that_was_given_is_used_for_those_that_are_learned(three_nodes):
    several = Several(
        [*map(NodeAddress, ["rediss://me:secret@a:1/0?ssl_cert_reqs=none", "redis://:word@b:2"])],
        connect_timeout_s=1.0,
        answer_timeout_s=1.0,
        name="test",
    )
    assert several.place("rediss://a:1/0")[0].url == "rediss://me:secret@a:1/0?ssl_cert_reqs=none"
    assert several.place("rediss://c:3")[0].url == "rediss://me:secret@c:3?ssl_cert_reqs=none"
    assert several.place("redis://c:3")[0].url == "redis://:word@c:3"
    assert several.place("redis://own:one@c:3")[0].url == "redis://own:one@c:3"
