"""Holders that nobody can hear any more: a proxy between one process and its node is switched while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from taskmesh import TaskMesh
from tests.faults.proxy import Proxy, Way
from tests.faults.server import Server
from tests.faults.stage import make_server, proxy, server
from tests.integration.locks.holders import Holder
from tests.support import wait_until

__all__ = ["make_server", "proxy", "server"]

MESH = "cutoff"


@pytest.fixture
def near(server: Server) -> Iterator[TaskMesh]:
    """The mesh, as a process sees it that is not cut off."""
    with TaskMesh(MESH, nodes=[server.url]) as mesh:
        mesh.link.open()
        yield mesh


@pytest.fixture
def far(near: TaskMesh, proxy: Proxy) -> Iterator[Holder]:
    """A process that can be cut off."""
    holder = Holder(MESH, proxy.url)
    yield holder
    holder.close()


def says(holder: Holder) -> Callable[[], str]:
    def said() -> str:
        answer = holder.ask("check", "x")
        return answer if isinstance(answer, str) else answer["error"]

    return said


def test_who_is_cut_off_knows_that_he_may_have_lost_it_before_others_have_it(near, far, proxy):
    token = far.ask("acquire", "x", ttl=8, lock_delay=0)
    proxy.be(Way.HOLE)
    with near.lock("x", wait=90) as lock:
        assert says(far)() == "LockInJeopardy"
        assert lock.token > token
        proxy.be(Way.PASS)
        wait_until(lambda: says(far)() == "LockLost")
        wait_until(lambda: far.ask("heard")[-2:] == ["LockInJeopardy", "LockLost"])
        assert far.ask("release", "x") is False


def test_who_is_heard_again_before_anybody_took_it_never_lost_it(near, far, proxy):
    far.ask("acquire", "x", ttl=8, lock_delay=0)
    proxy.be(Way.HOLE)
    wait_until(lambda: says(far)() == "LockInJeopardy")
    proxy.be(Way.PASS)
    wait_until(lambda: says(far)() == "held")
    assert far.ask("release", "x") is True
    assert near.lock("x").acquire(wait=0)


def test_what_cannot_be_given_back_yet_is_given_back_later(near, far, proxy):
    far.ask("acquire", "x", ttl=60)
    proxy.be(Way.CLOSED)
    proxy.reset()
    # it believes so, and its lease says so
    assert far.ask("release", "x") is True
    assert not near.lock("x").acquire(wait=0)
    proxy.be(Way.PASS)
    assert near.lock("x").acquire(wait=30)
