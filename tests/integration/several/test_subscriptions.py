"""Listening to every node of a mesh at once: none of them keeps us from hearing the others."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from taskmesh.core import keys
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.subscriptions import Subscriptions, subscribe
from taskmesh.results.read import read
from tests.integration.several.conftest import MESH, activate, view_of
from tests.support import wait_until

pytestmark = pytest.mark.needs_server

CHANNEL = keys.channel(keys.prefix(MESH), b"c")
OTHER = keys.channel(keys.prefix(MESH), b"d")


@pytest.fixture
def link(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    return make_link().open()


@pytest.fixture
def make_subscription(link):
    made = []

    def make(**options):
        made.append(subscribe(link, [CHANNEL], **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def publish(nodes, at: int, content: bytes, channel: bytes = CHANNEL) -> int:
    with nodes[at].client() as client:
        return client.publish(channel, content)


def heard(subscription: Subscriptions, count: int) -> list[bytes]:
    """Return so many notices."""
    found: list[bytes] = []

    def enough() -> bool:
        notice = subscription.read(0.05)
        if notice:
            found.append(notice)
        return len(found) >= count

    wait_until(enough)
    return sorted(found)


def hears(subscription: Subscriptions, nodes, *these: int) -> int:
    """Wait until these nodes are heard, and return how many gaps there have been until then.

    On a busy machine one may be heard a little later than the others, which is a gap as well.
    """
    left = {b"%d is heard" % at: at for at in these}

    def heard_all() -> bool:
        for content, at in left.items():
            publish(nodes, at, content)
        while notice := subscription.read(0.05):
            left.pop(notice, None)
        return not left

    wait_until(heard_all)
    # what was told twice comes before these
    last = {b"%d is heard, and no more of it" % at: at for at in these}
    for content, at in last.items():
        publish(nodes, at, content)
    assert heard_of(subscription, last)
    return subscription.gaps


def heard_of(subscription: Subscriptions, contents: Iterable[bytes]) -> bool:
    """Wait until each of these was heard, whatever else is."""
    left = set(contents)

    def all_heard() -> bool:
        left.discard(subscription.read(0.05) or b"")
        return not left

    return wait_until(all_heard)


def wait_for_gaps(subscription: Subscriptions, count: int) -> None:
    def noted() -> bool:
        subscription.read(0.05)
        return subscription.gaps >= count

    wait_until(noted)


def test_all_nodes_are_heard(three_nodes, make_subscription):
    subscription = make_subscription()
    assert subscription.channels == {CHANNEL}
    before = hears(subscription, three_nodes, 0, 1, 2)
    for at in range(3):
        assert publish(three_nodes, at, b"from %d" % at) == 1
    assert heard(subscription, 3) == [b"from 0", b"from 1", b"from 2"]
    assert subscription.read(0.01) is None
    assert subscription.gaps == before


def test_who_has_much_to_tell_does_not_drown_out_the_others(three_nodes, make_subscription):
    subscription = make_subscription()
    hears(subscription, three_nodes, 0, 1)
    with three_nodes[0].client() as client, client.pipeline(transaction=False) as line:
        for _ in range(10_000):
            line.publish(CHANNEL, b"much" * 100)
        line.execute()
    assert publish(three_nodes, 1, b"little") == 1
    before = 0
    while subscription.read(90.0) != b"little":
        before += 1
        assert before < 10_001
    assert before < 5000


def test_channels_come_and_go_on_all_nodes(three_nodes, make_subscription):
    subscription = make_subscription()
    hears(subscription, three_nodes, 0, 1, 2)
    subscription.add([OTHER])
    wait_until(lambda: subscription.read(0.05) is None and OTHER in subscription.channels)
    assert [publish(three_nodes, at, b"x", OTHER) for at in range(3)] == [1, 1, 1]
    heard(subscription, 3)
    subscription.remove([OTHER])
    wait_until(lambda: subscription.read(0.05) is None and OTHER not in subscription.channels)
    # of several the first that is left is none of all
    wait_until(lambda: subscription.read(0.05) is None and not any(told_other(three_nodes)))


def told_other(nodes) -> list[int]:
    """Return how many each node tells something on the other channel."""
    return [publish(nodes, at, b"x", OTHER) for at in range(3)]


def test_a_node_that_is_lost_leaves_a_gap_and_is_heard_again_once_a_view_admits_it(
    three_nodes, link, make_subscription
):
    subscription = make_subscription()
    subscription.add([OTHER])
    before = hears(subscription, three_nodes, 0, 1, 2)
    three_nodes.kill(1)
    wait_for_gaps(subscription, before + 1)
    publish(three_nodes, 2, b"still")
    assert heard(subscription, 1) == [b"still"]
    three_nodes.start(1)
    activate(three_nodes, view_of(three_nodes, 2))
    wait_until(lambda: look(link))
    wait_for_gaps(subscription, before + 2)
    wait_until(lambda: publish(three_nodes, 1, b"again", OTHER) == 1)
    assert heard(subscription, 1) == [b"again"]
    assert subscription.gaps == before + 2


def look(link) -> bool:
    """Have the link meet a newer view, and tell whether it has."""
    link.run(read(link.session, ["nobody"]))
    return link.view.number == 2


def test_a_node_that_stands_still_keeps_nobody_from_hearing_the_others(three_nodes, make_subscription):
    three_nodes.stop(0)
    began_s = time.monotonic()
    subscription = make_subscription(within_s=60.0)
    assert time.monotonic() - began_s < 30.0
    before = hears(subscription, three_nodes, 1, 2)
    publish(three_nodes, 1, b"there")
    assert heard(subscription, 1) == [b"there"]
    three_nodes.go_on(0)
    wait_for_gaps(subscription, before + 1)
    publish(three_nodes, 0, b"awake")
    assert heard(subscription, 1) == [b"awake"]


def test_a_node_that_leaves_the_mesh_is_heard_no_more(three_nodes, link, make_subscription):
    subscription = make_subscription()
    before = hears(subscription, three_nodes, 0, 1, 2)
    activate(three_nodes, view_of(three_nodes, 2, without=("n3",)))
    wait_until(lambda: look(link))
    wait_until(lambda: subscription.read(0.05) is None and publish(three_nodes, 2, b"x") == 0)
    assert subscription.gaps == before


def test_when_none_is_left_that_is_said(three_nodes, make_subscription):
    subscription = make_subscription()
    for at in range(3):
        three_nodes.kill(at)
    with pytest.raises(NodeUnavailable, match="lost"):
        wait_for_gaps(subscription, 4)
    with pytest.raises(NodeUnavailable, match="cannot listen"):
        make_subscription()


def test_who_can_hear_nobody_learns_of_the_view_that_admits_all_anew(three_nodes, link, make_subscription):
    """All servers are started anew: by their ids none is spoken with, and only who asks would be told."""
    for at in range(3):
        three_nodes.kill(at)
        three_nodes.start(at)
    with pytest.raises(NodeUnavailable, match="waits to be admitted"):
        make_subscription()
    activate(three_nodes, view_of(three_nodes, 2))

    def listening() -> bool:
        try:
            return bool(make_subscription().channels)
        except NodeUnavailable:
            return False

    wait_until(listening)
    assert link.view.number == 2


def test_who_hears_others_learns_of_the_view_that_admits_one_anew(three_nodes, link, make_subscription):
    subscription = make_subscription()
    before = hears(subscription, three_nodes, 0, 1, 2)
    three_nodes.kill(1)
    wait_for_gaps(subscription, before + 1)
    three_nodes.start(1)
    activate(three_nodes, view_of(three_nodes, 2))
    wait_for_gaps(subscription, before + 2)
    assert publish(three_nodes, 1, b"again") == 1
    assert heard(subscription, 1) == [b"again"]


def test_nodes_that_come_to_the_only_one_are_heard_too(three_nodes, link, make_subscription):
    assert link.several.standing.take(view_of(three_nodes, 2, without=("n2", "n3")))
    subscription = make_subscription()
    assert link.several.standing.take(view_of(three_nodes, 3))
    wait_for_gaps(subscription, 1)
    wait_until(lambda: subscription.read(0.05) is None and publish(three_nodes, 2, b"x") == 1)
