"""How pools are written down, and which children they are made of."""

from __future__ import annotations

import pytest

from taskmesh.errors import UsageError
from taskmesh.worker.pools import (
    Pool,
    Seat,
    in_words,
    queues_of,
    read_pool,
    read_pools,
    seats,
    settled,
    sized,
)


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("process", Pool("process")),
        ("prefork:4", Pool("process", 4)),
        ("threads:16", Pool("thread", 16)),
        ("async:10000=io,mail,io", Pool("async", 10_000, ("io", "mail"))),
        ("Async=io", Pool("async", 0, ("io",))),
    ],
)
def test_a_pool_as_it_is_written(text: str, pool: Pool) -> None:
    assert read_pool(text) == pool


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("solo", "--pool process -c 1"),
        ("gevent", "--pool async"),
        ("eventlet:100", "--pool async"),
        ("fibers", "process, thread, async"),
        ("async:0", "1 to 100000"),
        ("thread:2000", "1 to 1024"),
        ("process:x", "whole number"),
        ("async=", "queue ''"),
        ("async=a b", "queue 'a b'"),
        (7, "should be a text"),
    ],
)
def test_what_is_no_pool_is_refused_with_what_is(text: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_pool(text)


def test_concurrency_is_for_the_one_pool_without_a_size() -> None:
    assert sized((), 3) == (Pool("process", 3),)
    assert sized(read_pools(["process:4", "async"]), 500) == (Pool("process", 4), Pool("async", 500))
    for pools in (["process:4"], ["process", "async"]):
        with pytest.raises(UsageError, match="write the size of each"):
            sized(read_pools(pools), 5)
    with pytest.raises(UsageError, match="1 to 1024"):
        sized(read_pools("thread"), 5000)


def test_what_is_left_open_is_the_workers_and_the_meshs() -> None:
    assert settled((), (), default_queue="default", processes=2) == (Pool("process", 2, ("default",)),)
    pools = settled(
        read_pools(["process", "async=io"]), ("cpu", "mail"), default_queue="default", processes=2
    )
    assert pools == (Pool("process", 2, ("cpu", "mail")), Pool("async", 1000, ("io",)))
    assert queues_of(pools) == ("cpu", "mail", "io")
    assert in_words(pools) == "2 processes, 1000 coroutines"
    assert seats(pools) == (*[Seat("process", 1, ("cpu", "mail"))] * 2, Seat("async", 1000, ("io",)))


def test_a_queue_that_no_pool_serves_is_refused() -> None:
    with pytest.raises(UsageError, match="no pool of this worker serves mail"):
        settled(read_pools("thread=io"), ("mail",), default_queue="default", processes=1)
