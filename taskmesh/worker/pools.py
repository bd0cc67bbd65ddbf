"""Pools: how the tasks of a worker run side by side, and how a pool is written down.

    process        one message at a time in each of N child processes
    thread         up to N at once, each in a thread of one child process
    async          up to N at once, as coroutines on the event loop of one child process

Written `KIND`, `KIND:N` or `KIND:N=QUEUES`: `async`, `process:4`, `async:500=io,mail`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from taskmesh.core.lines import queue_name
from taskmesh.errors import UsageError

PROCESS, THREAD, ASYNC = "process", "thread", "async"
KINDS = (PROCESS, THREAD, ASYNC)
#: How many tasks one pool of a kind may run at once.
SLOTS_MAX = {PROCESS: 1024, THREAD: 1024, ASYNC: 100_000}
#: And how many it does run unless somebody says so; processes: as the setting `concurrency` says.
SLOTS = {THREAD: 16, ASYNC: 1000}
ALSO_CALLED = {"prefork": PROCESS, "processes": PROCESS, "threads": THREAD, "asyncio": ASYNC}
INSTEAD = {
    "solo": "--pool process -c 1 runs one task at a time, in a process that may die without the worker",
    "gevent": "--pool async runs thousands of `async def` tasks at once; --pool thread suits blocking code",
    "eventlet": "--pool async runs thousands of `async def` tasks at once; --pool thread suits blocking code",
}


class Pool(msgspec.Struct, frozen=True):
    """One pool of a worker.

    Attributes:
        kind: `process`, `thread` or `async`.
        slots: How many tasks it runs at once; 0 where that is left to the worker.
        queues: Which queues it serves; empty for all of the worker's.
    """

    kind: str = PROCESS
    slots: int = 0
    queues: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.kind}:{self.slots}" if self.slots else self.kind


class Seat(msgspec.Struct, frozen=True):
    """A child that a worker keeps alive: of which pool, for how many messages at once, from which queues."""

    kind: str
    slots: int
    queues: tuple[str, ...]


def read_pool(text: object) -> Pool:
    """Return the pool that is meant by `KIND`, `KIND:N` or `KIND:N=QUEUES`.

    Raises:
        UsageError: There is no such pool, or its size or a queue is impossible.
    """
    if not isinstance(text, str):
        raise UsageError(f"pool {text!r} should be a text such as 'process', 'thread:16' or 'async:500'")
    head, limited, names = text.partition("=")
    word, sized, count = head.partition(":")
    kind = _kind(word.strip().lower(), text)
    slots = _slots(kind, count, text) if sized else 0
    queues = tuple(dict.fromkeys(_queue(name.strip(), text) for name in names.split(","))) if limited else ()
    return Pool(kind, slots, queues)


def _kind(word: str, text: str) -> str:
    kind = ALSO_CALLED.get(word, word)
    if kind in KINDS:
        return kind
    if kind in INSTEAD:
        raise UsageError(f"there is no pool of kind {word!r}: {INSTEAD[kind]}")
    raise UsageError(f"pool {text!r} is unknown; a pool is {', '.join(KINDS)}, with :N for how many at once")


def _slots(kind: str, count: str, text: str) -> int:
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= SLOTS_MAX[kind]):
        raise UsageError(f"pool {text!r}: {count!r} should be a whole number from 1 to {SLOTS_MAX[kind]}")
    return int(count)


def _queue(name: str, text: str) -> str:
    try:
        found: str = queue_name(name)
    except ValueError as error:
        raise UsageError(f"pool {text!r}: queue {name!r}: {error}") from None
    return found


def read_pools(given: object) -> tuple[Pool, ...]:
    """Return the pools in one text or a sequence of them.

    Raises:
        UsageError: As `read_pool`.
    """
    if isinstance(given, (list, tuple)):
        return tuple(read_pool(text) for text in given)
    return (read_pool(given),)


def sized(pools: Sequence[Pool], concurrency: int) -> tuple[Pool, ...]:
    """Give a number of tasks at once, 0 for none given, to the pool that has none of its own.

    Raises:
        UsageError: It is too large for the pool, or it is not clear which pool it is for.
    """
    pools = tuple(pools) or (Pool(),)
    if not concurrency:
        return pools
    open_ = [pool for pool in pools if not pool.slots]
    if len(open_) != 1:
        written = " ".join(f"--pool {pool}" for pool in pools)
        raise UsageError(
            f"concurrency {concurrency} is for one pool without a size, and of {written} "
            f"{'none' if not open_ else 'more than one'} is: write the size of each, such as --pool {pools[0].kind}:4"
        )
    kind = open_[0].kind
    if concurrency > SLOTS_MAX[kind]:
        raise UsageError(
            f"concurrency {concurrency} is too much: a pool of kind {kind} has 1 to {SLOTS_MAX[kind]}"
        )
    return tuple(pool if pool.slots else msgspec.structs.replace(pool, slots=concurrency) for pool in pools)


def settled(
    pools: Sequence[Pool], queues: Sequence[str], *, default_queue: str, processes: int
) -> tuple[Pool, ...]:
    """Fill in what is left to the worker and its mesh.

    Args:
        pools: As asked for; none stands for processes.
        queues: Of the worker; none stands for the default queue.
        default_queue: Of the mesh.
        processes: How many, where nobody has said so.

    Raises:
        UsageError: No pool serves one of the queues.
    """
    full = tuple(
        Pool(
            pool.kind,
            pool.slots or SLOTS.get(pool.kind, processes),
            pool.queues or tuple(queues) or (default_queue,),
        )
        for pool in pools or (Pool(),)
    )
    left = [queue for queue in queues if queue not in queues_of(full)]
    if left:
        raise UsageError(f"no pool of this worker serves {', '.join(left)}: each is limited to other queues")
    return full


def seats(pools: Sequence[Pool]) -> tuple[Seat, ...]:
    """Return the children that pools are made of: one for each process, one for many threads or coroutines."""
    found: list[Seat] = []
    for pool in pools:
        if pool.kind == PROCESS:
            found += [Seat(PROCESS, 1, pool.queues)] * pool.slots
        else:
            found.append(Seat(pool.kind, pool.slots, pool.queues))
    return tuple(found)


def queues_of(pools: Sequence[Pool]) -> tuple[str, ...]:
    """Return all queues that pools serve, in order."""
    return tuple(dict.fromkeys(queue for pool in pools for queue in pool.queues))


def in_words(pools: Sequence[Pool]) -> str:
    """Return how many of what: `4 processes, 500 coroutines`."""
    words = {
        PROCESS: ("process", "processes"),
        THREAD: ("thread", "threads"),
        ASYNC: ("coroutine", "coroutines"),
    }
    return ", ".join(f"{pool.slots} {words[pool.kind][pool.slots != 1]}" for pool in pools)
