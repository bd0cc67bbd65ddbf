"""`mesh.executor()` behaves as `concurrent.futures.Executor` is documented to.

The cases are those that CPython checks its own executors for: submitting, mapping, waiting, cancelling,
shutting down, leaving nothing behind.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import weakref
from concurrent import futures
from concurrent.futures import CancelledError, Executor, Future
from functools import partial

import pytest

from taskmesh.client.executor import MeshExecutor
from taskmesh.core.state import State
from taskmesh.errors import NotPicklable, TaskRevoked, UsageError
from tests.apps.client_tasks import Refused, Scale, fail_at, square
from tests.support import wait_until

TIMEOUT_S = 90.0


@pytest.fixture(autouse=True)
def cancelling_takes_its_time(monkeypatch):
    """A node that does not answer for some seconds is none that cannot be reached."""
    monkeypatch.setattr("taskmesh.client.collector.CANCEL_PATIENCE_S", TIMEOUT_S)


@pytest.fixture
def executor(mesh):
    with mesh.executor() as executor:
        yield executor
        executor.shutdown(cancel_futures=True)


def kwargs_of(*args, **kwargs):
    return args, kwargs


# -- submit -----------------------------------------------------------------------


def test_it_is_an_executor_and_gives_real_futures(executor):
    future = executor.submit(pow, 2, 8)
    assert isinstance(executor, Executor)
    assert isinstance(future, Future)
    assert future.result(TIMEOUT_S) == 256
    assert future.exception() is None
    assert (future.done(), future.cancelled(), future.running(), future.cancel()) == (
        True,
        False,
        False,
        False,
    )


def test_any_callable_can_be_submitted(app, executor):
    outer = 5
    calls = [
        executor.submit(app.add, 1, y=2),
        executor.submit(app.add_async, 1, 3),
        executor.submit(square, 4),
        executor.submit(lambda x: x + outer, 1),
        executor.submit(Scale(3).times, 4),
        executor.submit(partial(pow, 2), 5),
        executor.submit(len, "four"),
        executor.submit(str.upper, "a"),
        executor.submit("-".join, "ab"),
    ]
    assert [call.result(TIMEOUT_S) for call in calls] == [3, 4, 16, 6, 12, 32, 4, "A", "a-b"]


def test_arguments_may_be_named_as_those_of_submit(executor):
    result = executor.submit(kwargs_of, 1, self=2, fn=3).result(TIMEOUT_S)
    assert result == ((1,), {"self": 2, "fn": 3})
    with pytest.raises(TypeError):
        executor.submit(fn=kwargs_of, arg=1)
    with pytest.raises(TypeError):
        executor.submit()


def test_what_cannot_be_called_or_sent_is_refused_and_leaves_nothing_pending(executor):
    with pytest.raises(UsageError, match="callable"):
        executor.submit(3)
    with pytest.raises(NotPicklable):
        executor.submit(square, threading.Lock())
    assert executor.submit(square, 2).result(TIMEOUT_S) == 4


def test_errors_come_back_as_themselves(app, executor):
    future = executor.submit(app.refuse, "no", 7)
    error = future.exception(TIMEOUT_S)
    assert type(error) is Refused
    assert (str(error), error.code) == ("no", 7)
    assert "Remote traceback" in error.__notes__[0]
    with pytest.raises(Refused):
        future.result()
    assert future.done()
    assert not future.cancelled()


# -- futures ----------------------------------------------------------------------


def test_result_and_exception_time_out(executor, holds):
    name, future = holds.submit(executor, "late")
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    with pytest.raises(futures.TimeoutError):
        future.exception(timeout=0)
    holds.let_go(name)
    assert future.result(TIMEOUT_S) == "late"


def test_running_is_true_from_the_start_to_the_end(executor, holds):
    name, future = holds.submit(executor)
    holds.began(name)
    assert future.running()
    assert not future.done()
    assert not future.cancel()
    assert not future.cancelled()
    holds.let_go(name)
    future.result(TIMEOUT_S)
    assert not future.running()


def test_cancel_revokes_what_waits(app, executor, holds):
    holds.all_children()
    future = executor.submit(app.add, 1, 1)
    assert not future.running()
    assert future.cancel()
    assert future.cancelled()
    assert future.done()
    assert not future.running()
    assert future.cancel(), "a second time, too"
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception()
    assert app.mesh.result(future.handle.id).state == "REVOKED"


def test_what_somebody_else_revoked_is_not_cancelled(app, executor, holds):
    holds.all_children()
    future = executor.submit(app.add, 1, 1)
    assert app.mesh.result(future.handle.id).revoke()
    assert isinstance(future.exception(TIMEOUT_S), TaskRevoked)
    assert not future.cancelled()


def test_callbacks_are_called_in_order_also_after_one_that_raises(executor, holds, caplog):
    called = []

    def broken(future):
        called.append("broken")
        raise RuntimeError("by the callback")

    # held, or it could end between two of these
    name, future = holds.submit(executor, 9)
    future.add_done_callback(lambda f: called.append(("first", f is future)))
    future.add_done_callback(broken)
    future.add_done_callback(lambda f: called.append(("last", f.result())))
    holds.let_go(name)
    wait_until(lambda: len(called) == 3, TIMEOUT_S)
    assert called == [("first", True), "broken", ("last", 9)]
    assert "exception calling callback" in caplog.text
    future.add_done_callback(lambda f: called.append("at once"))
    assert called[-1] == "at once"


def test_callbacks_hear_of_a_cancellation(app, executor, holds):
    holds.all_children()
    called = []
    future = executor.submit(app.add, 1)
    future.add_done_callback(lambda f: called.append(f.cancelled()))
    assert future.cancel()
    assert called == [True]


def test_a_callback_that_blocks_holds_up_nobody_who_gets(app, executor):
    """Callbacks run in the executor's thread, and that does not lead meanwhile."""
    entered, release = threading.Event(), threading.Event()

    def block(future):
        entered.set()
        release.wait(TIMEOUT_S)

    executor.submit(app.add, 1).add_done_callback(block)
    assert entered.wait(TIMEOUT_S)
    try:
        assert app.add.delay(2, 3).get(timeout=TIMEOUT_S) == 5
    finally:
        release.set()


def test_a_callback_may_submit(app, executor):
    chained = []
    future = executor.submit(app.add, 1)
    future.add_done_callback(lambda f: chained.append(executor.submit(app.add, f.result(), 1)))
    wait_until(lambda: chained, TIMEOUT_S)
    assert chained[0].result(TIMEOUT_S) == 2


# -- wait and as_completed --------------------------------------------------------


def test_wait_for_the_first(executor, holds):
    _name, slow = holds.submit(executor)
    quick = executor.submit(square, 2)
    done, pending = futures.wait([slow, quick], TIMEOUT_S, return_when=futures.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    done, pending = futures.wait([slow, quick], TIMEOUT_S, return_when=futures.FIRST_COMPLETED)
    assert done == {quick}, "of those that have ended already, too"


def test_wait_for_the_first_error(executor, holds):
    _, slow = holds.submit(executor)
    quick, failed = executor.submit(square, 2), executor.submit(fail_at, 0, 1)
    done, pending = futures.wait([slow, quick, failed], TIMEOUT_S, return_when=futures.FIRST_EXCEPTION)
    assert failed in done
    assert slow in pending


def test_wait_for_all_with_cancelled_ones_among_them(executor, holds):
    held = holds.all_children()
    cancelled, waiting = executor.submit(square, 2), executor.submit(square, 3)
    assert cancelled.cancel()
    done, pending = futures.wait([cancelled, waiting], timeout=0)
    assert (done, pending) == ({cancelled}, {waiting})
    for name, _ in held:
        holds.let_go(name)
    assert futures.wait([cancelled, waiting], TIMEOUT_S) == ({cancelled, waiting}, set())


def test_wait_hears_of_what_is_cancelled_meanwhile(executor, holds):
    holds.all_children()
    waiting = [executor.submit(square, n) for n in range(3)]
    canceller = threading.Timer(0.05, lambda: [future.cancel() for future in waiting])
    canceller.start()
    done, _pending = futures.wait(waiting, TIMEOUT_S)
    canceller.join()
    assert done == set(waiting)
    assert all(future.cancelled() for future in done)


def test_as_completed_yields_each_once_duplicates_too(executor, holds):
    name, slow = holds.submit(executor)
    quick = executor.submit(square, 2)
    seen = []
    for future in futures.as_completed([slow, quick, quick], TIMEOUT_S):
        seen.append(future)
        holds.let_go(name)
    assert seen == [quick, slow]


def test_as_completed_times_out(executor, holds):
    _, slow = holds.submit(executor)
    quick = executor.submit(square, 2)
    quick.result(TIMEOUT_S)
    seen = []
    with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
        seen.extend(futures.as_completed([slow, quick], timeout=0))
    assert seen in ([], [quick])


def test_many_futures_from_many_threads(app, executor):
    """Also of several executors, while others get results."""
    with app.mesh.executor() as other:

        def work(number):
            chosen = executor if number % 2 else other
            made = [chosen.submit(app.add, number, n) for n in range(50)]
            got = [app.add.delay(number, n).get(timeout=TIMEOUT_S) for n in range(20)]
            return [future.result(TIMEOUT_S) for future in made] + got

        with futures.ThreadPoolExecutor(8) as threads:
            found = list(threads.map(work, range(8)))
    assert found == [[n + i for i in range(50)] + [n + i for i in range(20)] for n in range(8)]


# -- asyncio ----------------------------------------------------------------------


def test_in_an_event_loop(app, executor, holds):
    async def main():
        loop = asyncio.get_running_loop()
        value = await loop.run_in_executor(executor, app.add, 1, 2)
        with pytest.raises(Refused):
            await asyncio.wrap_future(executor.submit(app.refuse, "no", 1))
        await loop.run_in_executor(None, holds.all_children)
        inner = executor.submit(app.add, 3)
        outer = asyncio.wrap_future(inner)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        return value, inner

    value, inner = asyncio.run(main())
    assert value == 3
    wait_until(inner.cancelled, TIMEOUT_S)


# -- map --------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3, 7, 100])
def test_map_yields_in_order(app, executor, chunksize):
    expected = [n + 2 * n for n in range(20)]
    found = executor.map(app.add, range(20), range(0, 40, 2), chunksize=chunksize)
    assert list(found) == expected
    assert list(executor.map(lambda x: x - 1, range(5), chunksize=chunksize)) == [-1, 0, 1, 2, 3]
    assert list(executor.map(app.add_async, range(5), range(5), chunksize=chunksize)) == [0, 2, 4, 6, 8]


def test_map_stops_with_the_shortest_iterable_and_takes_none(executor):
    assert list(executor.map(pow, range(3), itertools.count(2))) == [0, 1, 16]
    assert list(executor.map(square, [])) == []
    assert list(executor.map(square, [], chunksize=3)) == []


def test_map_sends_without_being_iterated(app, executor, tmp_path):
    executor.map(app.hold, [str(tmp_path)], ["alone"])
    wait_until((tmp_path / "began-alone").exists, TIMEOUT_S)
    (tmp_path / "let-alone").touch()


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_raises_in_its_turn(executor, chunksize):
    found = executor.map(partial(fail_at, 4), range(10), chunksize=chunksize)
    assert [next(found) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="4"):
        next(found)
    with pytest.raises(StopIteration):
        next(found)


def test_map_times_out_and_cancels_the_rest(app, executor, holds, tmp_path):
    held = holds.all_children()
    found = executor.map(app.hold, [str(tmp_path)] * 3, ["a", "b", "c"], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(found)
    for name, _ in held:
        holds.let_go(name)
    # what is sent afterwards runs after what was sent before: and that has gone
    assert executor.submit(square, 2).result(TIMEOUT_S) == 4
    assert not any((tmp_path / f"began-{name}").exists() for name in "abc")


def test_map_whose_iterator_is_closed_cancels_the_rest(app, executor, holds, tmp_path):
    found = executor.map(app.hold, [str(tmp_path)] * 6, "abcdef")
    (tmp_path / "let-a").touch()
    next(found)
    # the children run two of the others, and have given back what they had claimed with these
    states = lambda: sorted(handle.state for handle in list(executor._collector._pending))  # noqa: E731
    wait_until(lambda: states() == ["PENDING"] * 3 + ["STARTED"] * 2, TIMEOUT_S)
    wait_until(lambda: len(list(tmp_path.glob("began-?"))) == 3, TIMEOUT_S)
    found.close()
    for name in "bcdef":
        (tmp_path / f"let-{name}").touch()
    assert executor.submit(square, 2).result(TIMEOUT_S) == 4
    assert len(list(tmp_path.glob("began-?"))) == 3


def test_map_closes_also_with_chunks(executor):
    found = executor.map(square, range(100), chunksize=10)
    assert next(found) == 0
    found.close()
    assert list(found) == []


def test_map_checks_its_arguments(executor):
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(square, [1], chunksize=0)
    with pytest.raises(TypeError, match="buffersize must be an integer or None"):
        executor.map(square, [1], buffersize="2")
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        executor.map(square, [1], buffersize=0)


def test_map_with_a_buffer_takes_from_endless_iterables(executor):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield number

    found = executor.map(square, endless(), buffersize=3)
    assert taken == [0, 1, 2]
    assert [next(found) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) == 8
    found.close()


def test_map_sends_many_in_few_round_trips(app, executor, monkeypatch):
    calls = []
    driver = app.mesh.link.driver
    run = driver.run
    monkeypatch.setattr(
        driver, "run", lambda steps, **limit: calls.append(steps.__name__) or run(steps, **limit)
    )
    assert sum(executor.map(app.add, range(5000))) == sum(range(5000))
    assert calls.count("enqueue") == 3
    assert calls.count("enqueue_one") == 0
    assert len(calls) < 30, calls


def test_map_leaves_no_reference_to_what_was_yielded(executor):
    found = executor.map(Scale, range(3))
    for scale in found:
        ref = weakref.ref(scale)
        del scale
        # the thread that ended its future may be on its way out of that still
        wait_until(lambda ref=ref: gc.collect() is not None and ref() is None)


# -- shutting down ----------------------------------------------------------------


def test_nothing_can_be_submitted_after_shutdown(app, mesh):
    executor = mesh.executor()
    future = executor.submit(app.add, 1)
    executor.shutdown()
    assert future.done()
    for call in (lambda: executor.submit(app.add, 1), lambda: executor.map(app.add, [1])):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            call()
    executor.shutdown()


def test_shutdown_of_an_unused_one(mesh):
    executor = mesh.executor()
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)


def test_shutdown_without_waiting_ends_all_the_same(app, mesh, holds):
    executor = mesh.executor()
    name, future = holds.submit(executor, 5)
    executor.shutdown(wait=False)
    assert not future.done()
    holds.let_go(name)
    assert future.result(TIMEOUT_S) == 5


def test_shutdown_waits_for_what_runs_and_cancels_what_waits(app, mesh, holds):
    held = holds.all_children()
    executor = mesh.executor()
    waiting = [executor.submit(app.add, n) for n in range(5)]
    executor.shutdown(wait=True, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    running = mesh.executor()
    for name, _ in held:
        holds.let_go(name)
    name, future = holds.submit(running, 1)
    holds.began(name)
    stopper = threading.Thread(target=running.shutdown, kwargs={"cancel_futures": True})
    stopper.start()
    assert not future.cancelled()
    holds.let_go(name)
    stopper.join(TIMEOUT_S)
    assert future.result(0) == 1


def test_leaving_the_block_waits(app, mesh):
    with mesh.executor() as executor:
        sent = [executor.submit(app.add, n) for n in range(5)]
    assert all(future.done() for future in sent)


def test_one_that_is_dropped_still_gives_results_and_leaves_no_thread(app, mesh):
    executor = mesh.executor()
    found = executor.map(app.add, [1, 2, 3])
    future = executor.submit(app.add, 4)
    ref = weakref.ref(executor)
    thread = executor._collector._thread
    del executor
    wait_until(lambda: gc.collect() is not None and ref() is None)
    assert [*found, future.result(TIMEOUT_S)] == [1, 2, 3, 4]
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


def test_futures_are_let_go(app, executor):
    future = executor.submit(app.add, 1)
    future.result(TIMEOUT_S)
    ref, handle = weakref.ref(future), weakref.ref(future.handle)
    del future
    wait_until(lambda: gc.collect() is not None and ref() is None and handle() is None, TIMEOUT_S)


# -- trouble ----------------------------------------------------------------------


def test_a_lost_connection_loses_no_outcome(app, executor, holds):
    name, future = holds.submit(executor, "kept")
    holds.began(name)
    link = app.mesh.link
    inbox = executor._collector.portal.inbox
    before = inbox.round
    kill_subscriptions(link)
    wait_until(lambda: inbox.round not in (0, before), TIMEOUT_S)
    holds.let_go(name)
    assert future.result(TIMEOUT_S) == "kept"


def kill_subscriptions(link):
    from taskmesh.replication.ask import plain

    link.run(plain(link.session, b"CLIENT", b"KILL", b"TYPE", b"pubsub"))


def test_an_error_of_the_collecting_reaches_those_who_wait(app, mesh, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL, "taskmesh")
    executor = mesh.executor()
    assert executor.submit(app.add, 1).result(TIMEOUT_S) == 1
    collector = executor._collector
    monkeypatch.setattr(collector, "_end_settled", lambda: 1 / 0)
    assert isinstance(executor.submit(app.add, 2).exception(TIMEOUT_S), ZeroDivisionError)
    monkeypatch.undo()
    assert executor.submit(app.add, 3).result(TIMEOUT_S) == 3
    executor.shutdown()


def test_one_that_sends_while_listening_begins_anew_hears_of_it(app, executor, holds, monkeypatch):
    """The thread may have caught up with a new round before a message of the old one was sent."""
    holds.submit(executor)
    sender, inbox = app.mesh.portal.sender, executor._collector.portal.inbox
    send_one = sender.send_one
    ended = threading.Event()

    def send_late(message, functions, handle):
        before = inbox.round
        kill_subscriptions(app.mesh.link)
        wait_until(lambda: inbox.round not in (0, before), TIMEOUT_S)
        # it ends unheard: nobody expects it at the moment
        taken = inbox._expected.take(handle.id)
        send_one(message, functions, handle)
        app.mesh.result(handle.id).get(timeout=TIMEOUT_S)
        assert list(taken) == [handle]
        ended.set()

    monkeypatch.setattr(sender, "send_one", send_late)
    assert executor.submit(app.add, 2).result(90) == 2
    assert ended.is_set()


def test_a_queue_of_its_own(app, mesh):
    with mesh.executor(queue="elsewhere") as executor:
        future = executor.submit(app.add, 1)
        found = mesh.result(future.handle.id)
        assert found.state == State.PENDING
        assert executor.submit(square, 1).cancel()
        assert future.cancel()
    with pytest.raises(UsageError, match="queue"):
        mesh.executor(queue="a=b")


def test_types_are_those_of_the_contract(mesh):
    assert isinstance(mesh.executor(), MeshExecutor)
