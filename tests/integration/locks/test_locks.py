"""Locks on a real node, between processes and within one."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from taskmesh.client import holding
from taskmesh.errors import LockError, LockLost, LockTimeout, Malformed, UsageError
from tests.integration.agreement.registers import write
from tests.statements import before_each_statement
from tests.support import await_until, wait_until


def waiters(mesh, register: str = "lock/x") -> int:
    from taskmesh.coordination.acquire import look

    coordinator = mesh.coordinator
    lines = coordinator.conversing.run(look(coordinator.means, [register]))
    return len(lines[register].waiters)


def test_a_lock_is_held_in_a_block_and_free_afterwards(mesh, other):
    with mesh.lock("x") as lock:
        lock.check()
        assert lock.is_held
        assert not other.lock("x").acquire(wait=0)
    assert not lock.is_held
    with pytest.raises(LockError, match="lock x is not held"):
        lock.check()
    with other.lock("x", wait=0) as again:
        assert again.token > lock_token(lock, again)


def lock_token(before, after) -> int:
    """Return a token that was given before: what is held no more has none."""
    with pytest.raises(LockError):
        _ = before.token
    return after.token - 1


def test_tokens_grow_over_all_locks_and_processes(mesh, other):
    tokens = []
    for number in range(5):
        for one in (mesh, other):
            with one.lock(f"x{number % 2}") as lock:
                tokens.append(lock.token)
    assert tokens == sorted(set(tokens))


def test_who_does_not_get_it_in_time_is_told(mesh, other):
    with mesh.lock("x"):
        with (
            pytest.raises(LockTimeout, match=r"lock x was not free within 0.05 s"),
            other.lock("x", wait=0.05),
        ):
            pass
        assert waiters(mesh) == 0


def test_waiting_ends_with_the_release_and_in_the_order_of_coming(mesh, make_mesh):
    order = []
    first = mesh.lock("x")
    first.acquire()

    def wait(number: int) -> None:
        with make_mesh().lock("x") as lock:
            order.append((number, lock.token))

    with ThreadPoolExecutor(4) as threads:
        futures = []
        for number in range(4):
            futures.append(threads.submit(wait, number))
            wait_until(lambda number=number: waiters(mesh) == number + 1)
        first.release()
        for future in futures:
            future.result()
    assert [number for number, _ in order] == [0, 1, 2, 3]
    tokens = [token for _, token in order]
    assert tokens == sorted(tokens)


def test_a_release_wakes_the_next_without_a_look(mesh, other, monkeypatch):
    monkeypatch.setattr("taskmesh.coordination.acquire.LOOK_S_FIRST", 3600.0)
    first = mesh.lock("x")
    first.acquire()
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(other.lock("x").acquire)
        wait_until(lambda: waiters(mesh) == 1)
        # it hears: else there would be nobody to tell
        wait_until(lambda: mesh.link.driver.run(listeners(mesh, other)))
        first.release()
        assert future.result(90)


def listeners(mesh, other):
    from taskmesh.core import keys
    from taskmesh.replication.ask import plain

    process = other.coordinator.turns._process
    reply = yield from plain(mesh.link.session, b"PUBSUB", b"NUMSUB", keys.turn(mesh.link.prefix, process))
    return reply[1]


def test_who_is_not_told_looks_by_himself(mesh, other, monkeypatch):
    monkeypatch.setattr("taskmesh.client.turns.Turns.tell", lambda turns, whom: None)
    first = mesh.lock("x")
    first.acquire()
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(other.lock("x").acquire)
        wait_until(lambda: waiters(mesh) == 1)
        first.release()
        assert future.result(90)


def test_readers_share_and_a_writer_does_not(mesh, other):
    with mesh.lock("x", mode="shared") as one, other.lock("x", mode="shared", wait=0) as two:
        assert one.token < two.token
        assert not other.lock("x").acquire(wait=0)
    with mesh.lock("x"):
        assert not other.lock("x", mode="shared").acquire(wait=0)


def test_one_object_serves_many_threads(mesh):
    lock, inside, most = mesh.lock("x"), [], []

    def work() -> None:
        for _ in range(5):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_a_thread_does_not_wait_for_itself(mesh):
    lock = mesh.lock("x")
    with lock, pytest.raises(UsageError, match="is held by this thread or coroutine already"):
        lock.acquire()


def test_coroutines_hold_and_wait_too(mesh, other):
    async def main() -> list[int]:
        tokens = []
        async with mesh.lock("x") as lock:
            tokens.append(lock.token)
            task = asyncio.create_task(other.lock("x").aacquire())
            await await_until(lambda: waiters(mesh) == 1)
        assert await task
        return tokens

    assert asyncio.run(main())


def test_a_coroutine_that_is_cancelled_leaves_the_line(mesh, other):
    async def main() -> None:
        task = asyncio.create_task(other.lock("x").aacquire())
        await await_until(lambda: waiters(mesh) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await await_until(lambda: waiters(mesh) == 0)

    with mesh.lock("x"):
        asyncio.run(main())
    assert mesh.lock("x").acquire(wait=0)


def test_permits_of_a_semaphore(mesh, other):
    with mesh.semaphore("s", 2), other.semaphore("s", 2) as two:
        assert not mesh.semaphore("s", 2).acquire(wait=0)
        with pytest.raises(UsageError, match="in use with 2 permits, not 3"):
            mesh.semaphore("s", 3).acquire(wait=0)
        two.release()
        two.acquire()


def test_no_register_and_no_session_is_left(mesh):
    from taskmesh.consensus.listing import names

    with mesh.lock("x", ttl=2.0):
        pass
    wait_until(lambda: mesh.agreement.run(names(mesh.agreement.registers, "")) == ["counter/token"])
    wait_until(lambda: mesh.coordinator.sessions.is_idle)


def test_a_closed_mesh_holds_nothing(mesh, other):
    lock = mesh.lock("x")
    lock.acquire()
    mesh.close()
    with pytest.raises(LockLost, match="closed by its process"):
        lock.check()
    assert other.lock("x").acquire(wait=0)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("", {}, "lock name ''"),
        ("a b", {}, "no spaces"),
        ("x", {"ttl": 1}, "ttl=1: expected 2 to 3600 seconds"),
        ("x", {"wait": -1}, "wait=-1"),
        ("x", {"mode": "read"}, "expected 'exclusive' or 'shared'"),
        ("x", {"lock_delay": 61}, "lock_delay=61"),
    ],
)
def test_what_cannot_be_is_refused_at_once(mesh, name, settings, says):
    with pytest.raises(UsageError, match=says):
        mesh.lock(name, **settings)


def test_times_may_be_texts_as_everywhere(mesh):
    lock = mesh.lock("x", ttl="1m", wait=timedelta(0), lock_delay="0")
    assert lock.ttl_s == 60
    with mesh.lock("x"):
        assert not lock.acquire()
        assert not mesh.lock("x").acquire("0s")
        with pytest.raises(UsageError, match="wait='soon'"):
            mesh.lock("x").acquire("soon")


@pytest.mark.parametrize("wait", [-2, float("nan"), True])
def test_a_time_to_wait_that_is_none_is_refused(mesh, wait):
    with pytest.raises(UsageError, match="wait="):
        mesh.lock("x").acquire(wait)


@pytest.mark.parametrize("candidate", [b"ann", 5, None, "\ud800", "a\nb"])
def test_what_others_see_of_the_holder_is_text(mesh, candidate):
    """Anything else would stand in the line, and nobody could read that any more."""
    with pytest.raises(UsageError, match="election x"):
        mesh.election("x", candidate=candidate)


def test_a_line_that_cannot_be_left_costs_nothing_else(mesh, other):
    """What a newer version wrote, for example: the lease of what else this process holds is renewed."""
    # a short lease, and still one that outlives a machine which stands still for some seconds
    strange, good = mesh.lock("strange", ttl=6), mesh.lock("good", ttl=6)
    strange.acquire()
    good.acquire()
    write(other, "lock/strange", b"what is that")
    with pytest.raises(Malformed):
        strange.release()
    renewed = [good._held().session.renewed_s]

    def is_renewed() -> bool:
        if good._held().session.renewed_s != renewed[-1]:
            renewed.append(good._held().session.renewed_s)
        return len(renewed) > 3

    wait_until(is_renewed, what="it is renewed again and again")
    good.check()


def test_a_block_that_is_interrupted_anywhere_leaves_nothing_held(mesh, other):
    """By a signal whose handler raises, before each statement of getting and giving back but the last and the first."""
    lock = mesh.lock("x")
    with lock:
        pass
    statements = 0

    class Interrupted(Exception):
        pass

    def tick():
        nonlocal statements
        statements += 1
        if statements == interrupted:
            raise Interrupted

    # where a `with` ends no signal is looked at, so that a lock of threads is always given back
    def let_alone(statement):
        return (
            isinstance(statement, (ast.With, ast.Try, ast.AnnAssign))
            or ast.unparse(statement) == "return self"
        )

    with before_each_statement(holding, tick, let_alone=let_alone):
        for interrupted in range(1, 100):
            statements = 0
            try:
                with lock:
                    pass
            except Interrupted:
                pass
            else:
                break
            assert not lock._holds, f"held after statement {interrupted}"
            free = other.lock("x")
            assert free.acquire(wait=90), f"not free after statement {interrupted}"
            free.release()
    assert 20 < interrupted < 99


def test_acquiring_costs_few_commands(mesh):
    with mesh.lock("x"):
        pass
    before, since_s = asked(mesh), time.monotonic()
    for _ in range(10):
        with mesh.lock("x"):
            pass
    # to stand in line 1, a token 2, to take it 1, to give it back 1; and whatever renews the session meanwhile
    assert asked(mesh) - before <= 10 * 5 + 4 + (time.monotonic() - since_s)


def asked(mesh) -> int:
    """Return how often the node was asked something: scripts count as one."""
    from taskmesh.replication.ask import plain

    stats = mesh.link.driver.run(plain(mesh.link.session, b"INFO", b"commandstats"))
    calls = dict(
        re.findall(r"cmdstat_(\w+):calls=(\d+)", stats.decode() if isinstance(stats, bytes) else str(stats))
    )
    return sum(int(calls.get(name, 0)) for name in ("evalsha", "publish"))


def test_many_who_wait_make_no_storm(mesh, make_mesh):
    """What a line costs while nothing happens does not grow with the square of its length, nor does a release."""
    first = mesh.lock("x")
    first.acquire()
    others = [make_mesh() for _ in range(3)]

    def wait(one) -> None:
        with one.lock("x"):
            pass

    threads = [threading.Thread(target=wait, args=(one,)) for one in others for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_until(lambda: waiters(mesh) == 30)
    before, since_s = asked(mesh), time.monotonic()
    wait_until(lambda: time.monotonic() - since_s > 2)
    # the first looks about each second, the others each five, at two things
    assert (asked(mesh) - before) / (time.monotonic() - since_s) < 40
    before, since_s = asked(mesh), time.monotonic()
    first.release()
    for thread in threads:
        thread.join()
    # each is woken once, and makes his own few steps; those who wait meanwhile look as before
    assert asked(mesh) - before < 30 * 25 + 40 * (time.monotonic() - since_s)
