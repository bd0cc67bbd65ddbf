"""Elections on a real node."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh.errors import LockError
from tests.support import wait_until


def test_one_leads_until_it_resigns(mesh, other):
    one, two = mesh.election("e", candidate="one"), other.election("e", candidate="two")
    assert two.leader() is None
    assert one.campaign()
    assert one.campaign()
    assert one.is_leader
    assert not two.campaign(wait=0)
    elected = two.leader()
    assert (elected.candidate, elected.token) == ("one", one.token)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(two.campaign)
        wait_until(lambda: mesh.lock_statuses()[0].waiting)
        assert one.resign()
        assert future.result(90)
    assert not one.is_leader
    assert two.token > elected.token
    assert one.leader().candidate == "two"
    with pytest.raises(LockError):
        one.resign()


def test_whoever_sees_it_may_ask_from_any_thread(mesh):
    with mesh.election("e") as election, ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: election.is_leader).result()
        assert threads.submit(lambda: election.token).result() == election.token


def test_in_an_event_loop(mesh, other):
    async def main() -> None:
        async with mesh.election("e", candidate="one") as one:
            two = other.election("e")
            assert (await two.aleader()).candidate == "one"
            waiting = asyncio.create_task(two.acampaign())
            assert await one.acampaign()
        assert await waiting
        assert await two.aresign()

    asyncio.run(main())
