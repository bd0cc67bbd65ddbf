"""Listening to every node of a mesh from an event loop: none of them keeps us from hearing the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from taskmesh.core import keys
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.async_subscriptions import AsyncSubscriptions, subscription_in_loop
from taskmesh.results.read import read
from tests.integration.several.conftest import MESH, activate, view_of
from tests.patience import wait_long_for_listeners

pytestmark = pytest.mark.needs_server

CHANNEL = keys.channel(keys.prefix(MESH), b"c")
OTHER = keys.channel(keys.prefix(MESH), b"d")


class Listening:
    """A subscription, and what became of it."""

    def __init__(self, link) -> None:
        self.notices: list[bytes] = []
        self.lost: list[str] = []
        self.gaps = 0
        self.subscription: AsyncSubscriptions = subscription_in_loop(
            link, self.notices.append, self.lost.append, self._gap
        )

    def _gap(self) -> None:
        self.gaps += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, looking after the nodes meanwhile as the ear does."""
        while not condition():
            self.subscription.tend()
            await asyncio.sleep(0.02)

    async def hears(self, nodes, *these: int) -> int:
        """Wait until these nodes are heard, and return how many gaps there have been until then.

        On a busy machine one may be heard a little later than the others, which is a gap as well.
        """
        await self.until(lambda: all(hearers(nodes, at) == 1 for at in these))
        for at in these:
            publish(nodes, at, b"%d is heard" % at)
        await self.until(lambda: len(self.notices) == len(these))
        for _ in range(3):  # turns of the loop, in which who has just connected is taken in
            await asyncio.sleep(0)
        self.notices.clear()
        return self.gaps


@pytest.fixture
def link(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    return make_link().open()


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main, 240))


def publish(nodes, at: int, content: bytes, channel: bytes = CHANNEL) -> int:
    with nodes[at].client() as client:
        return client.publish(channel, content)


def hearers(nodes, at: int) -> int:
    """Return how many listen at a node."""
    with nodes[at].client() as client:
        ((_, count),) = client.pubsub_numsub(CHANNEL)
        return count


def test_all_nodes_are_heard(three_nodes, link):
    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 0, 1, 2)
        with pytest.MonkeyPatch.context() as patch:
            # each of them, however late
            wait_long_for_listeners(patch)
            await here.subscription.listen([OTHER])
        assert set(here.subscription.channels) == {CHANNEL, OTHER}
        for at in range(3):
            assert publish(three_nodes, at, b"%d" % at, OTHER) == 1
        await here.until(lambda: len(here.notices) == 3)
        here.subscription.leave([OTHER])
        await here.until(lambda: not any(publish(three_nodes, at, b"x", OTHER) for at in range(3)))
        assert here.gaps == before
        here.subscription.close()
        assert here.lost == []

    run(main())


def test_a_node_that_is_late_with_a_channel_leaves_a_gap(three_nodes, link):
    """Nobody waits for it when another channel is asked for, so what it tells until then is missed."""

    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 0, 1, 2)
        three_nodes.stop(1)
        await here.subscription.listen([OTHER])
        assert set(here.subscription.channels) == {CHANNEL}
        three_nodes.go_on(1)
        await here.until(lambda: set(here.subscription.channels) == {CHANNEL, OTHER})
        await here.until(lambda: here.gaps > before)
        here.subscription.close()

    run(main())


def test_a_node_that_is_lost_leaves_a_gap_and_is_heard_again_once_a_view_admits_it(three_nodes, link):
    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 0, 1, 2)
        three_nodes.kill(1)
        await here.until(lambda: here.gaps > before)
        publish(three_nodes, 2, b"still")
        await here.until(lambda: here.notices == [b"still"])
        three_nodes.start(1)
        activate(three_nodes, view_of(three_nodes, 2))
        await link.run_async(read(link.session, ["nobody"]))
        await here.until(lambda: here.gaps > before + 1)
        await here.until(lambda: publish(three_nodes, 1, b"again") == 1)
        await here.until(lambda: here.notices == [b"still", b"again"])
        here.subscription.close()

    run(main())


def test_a_node_that_stands_still_keeps_nobody_from_hearing_the_others(three_nodes, link):
    async def main() -> None:
        three_nodes.stop(0)
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 1, 2)
        three_nodes.go_on(0)
        await here.until(lambda: here.gaps > before)
        await here.until(lambda: publish(three_nodes, 0, b"awake") == 1)
        await here.until(lambda: here.notices == [b"awake"])
        here.subscription.close()

    run(main())


def test_a_node_that_leaves_the_mesh_is_heard_no_more(three_nodes, link):
    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 0, 1, 2)
        activate(three_nodes, view_of(three_nodes, 2, without=("n3",)))
        await link.run_async(read(link.session, ["nobody"]))
        await here.until(lambda: publish(three_nodes, 2, b"x") == 0)
        assert here.gaps == before
        here.subscription.close()

    run(main())


def test_when_none_is_left_that_is_said(three_nodes, link):
    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        for at in range(3):
            three_nodes.kill(at)
        await here.until(lambda: len(here.lost) == 1)
        with pytest.raises(NodeUnavailable, match="cannot listen"):
            await Listening(link).subscription.listen([CHANNEL])

    run(main())


def test_who_can_hear_nobody_learns_of_the_view_that_admits_all_anew(three_nodes, link):
    async def main() -> None:
        for at in range(3):
            three_nodes.kill(at)
            three_nodes.start(at)
        here = Listening(link)
        with pytest.raises(NodeUnavailable, match="waits to be admitted"):
            await here.subscription.listen([CHANNEL])
        activate(three_nodes, view_of(three_nodes, 2))
        while not here.subscription.channels:
            try:
                await here.subscription.listen([CHANNEL])
            except NodeUnavailable:
                await asyncio.sleep(0.05)
        assert link.view.number == 2
        here.subscription.close()

    run(main())


def test_who_hears_others_learns_of_the_view_that_admits_one_anew(three_nodes, link):
    async def main() -> None:
        here = Listening(link)
        await here.subscription.listen([CHANNEL])
        before = await here.hears(three_nodes, 0, 1, 2)
        three_nodes.kill(1)
        await here.until(lambda: here.gaps > before)
        three_nodes.start(1)
        activate(three_nodes, view_of(three_nodes, 2))
        await here.until(lambda: here.gaps > before + 1)
        await here.until(lambda: publish(three_nodes, 1, b"again") == 1)
        await here.until(lambda: here.notices == [b"again"])
        here.subscription.close()

    run(main())
