"""The driver for several nodes in event loops: asks all of them, and goes on when enough have answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from taskmesh.core.steps import OUT, Call, GroupSteps, Pause, Refused, Reply, Round, Steps
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.async_driver import AsyncDriver
from taskmesh.nodes.member import Member
from taskmesh.nodes.mesh_driver import MeshDriver, by_node

T = TypeVar("T")


class AsyncMeshDriver:
    """Runs conversations with several nodes at once, in any number of event loops: each call says its node.

    All conversations of a loop share one connection to each node. What comes late is dropped there, as after a
    cancellation.
    """

    def __init__(self, driver: MeshDriver, *, answer_timeout_s: float) -> None:
        """Prepare; nothing is connected yet.

        Args:
            driver: Knows where nodes are, and makes the connections, as for itself.
            answer_timeout_s: For one reply; a call without one in that time is `NoAnswer`.
        """
        self._driver = driver
        self._answer_timeout_s = answer_timeout_s
        self._alone: dict[str, tuple[Member, AsyncDriver]] = {}

    async def run(self, steps: GroupSteps[T] | Steps[T], *, within_s: float | None = None) -> T:
        """Run a conversation to its end and return its result.

        Args:
            steps: The conversation.
            within_s: How long the caller has, as for `SyncDriver.run`.
        """
        deadline_s = None if within_s is None else asyncio.get_running_loop().time() + within_s
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    await asyncio.sleep(request.seconds)
                    request = steps.send([])
                else:
                    request = steps.send(await self.perform(request, deadline_s))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def perform(self, request: Round | list[Call], deadline_s: float | None = None) -> list[Reply]:
        """Make one round, or calls whose answers are all waited for.

        Args:
            request: Each call names its node. Several to one node travel together.
            deadline_s: Until when the caller waits, by the running loop's clock.
        """
        calls = request.calls if isinstance(request, Round) else request
        replies: list[Reply] = [OUT] * len(calls)
        asked: dict[asyncio.Task[list[Reply]], list[int]] = {}
        places = by_node(calls)
        for node, its in places.items():
            try:
                driver = self.at(node)
            except TaskMeshError as error:
                _put(replies, its, [Refused(f"node {node}: {error}")] * len(its))
                continue
            asking = driver.perform([calls[at] for at in its], deadline_s)
            if len(places) == 1:
                _put(replies, its, await asking)
            else:
                asked[asyncio.ensure_future(asking)] = its
        waiting = set(asked)
        try:
            while waiting and not (isinstance(request, Round) and request.enough(replies)):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    _put(replies, asked[task], task.result())
        finally:
            if waiting:
                for task in waiting:
                    task.cancel()
                # nothing is left behind in a loop that may end now
                await asyncio.wait(waiting)
        return replies

    def at(self, node: str) -> AsyncDriver:
        """Return what speaks with one node alone, at the place where that is expected now.

        Raises:
            TaskMeshError: Nobody knows where that is.
        """
        member = self._driver.member(node)
        known = self._alone.get(node)
        if known is not None:
            if known[0] is member:
                return known[1]
            known[1].close()
        driver = AsyncDriver(member.alone, answer_timeout_s=self._answer_timeout_s)
        self._alone[node] = (member, driver)
        return driver

    def close(self) -> None:
        """Close all connections, from any thread. The driver can still be used, and connects anew."""
        for _, driver in list(self._alone.values()):
            driver.close()


def _put(replies: list[Reply], places: list[int], its: Sequence[Reply]) -> None:
    for at, reply in zip(places, its, strict=True):
        replies[at] = reply
