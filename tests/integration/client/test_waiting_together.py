"""Many who wait at once: threads, several handles on one id, processes, interrupted leaders, lost connections."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh import ResultSet, TaskMesh
from taskmesh.client import expected, inbox
from taskmesh.client.result import AsyncResult
from taskmesh.core import keys
from taskmesh.errors import NodeUnavailable, TaskTimeout
from tests.integration.client.node import Counted, command, kill_connections
from tests.support import wait_until

TIMEOUT_S = 90.0


def in_thread(function, *args):
    """Run in a thread, and return its future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *args)
    pool.shutdown(wait=False)
    return future


def leads(mesh):
    return wait_until(lambda: mesh.portal.inbox._line.leader, TIMEOUT_S, "somebody leads")


def parked(mesh, count):
    wait_until(lambda: len(mesh.portal.inbox._line.parked) == count, TIMEOUT_S, f"{count} are parked")


def as_task(mesh, task):
    """Return the task as another mesh object sends it."""
    return type(task)(mesh, task.function, task.name, task.options)


# -- threads ----------------------------------------------------------------------


def test_many_threads_get_at_once(app):
    def work(number):
        return [app.add.delay(number, n).get(timeout=TIMEOUT_S) for n in range(40)]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(16))) == [[n + i for i in range(40)] for n in range(16)]


def test_one_whose_time_is_over_hands_over(app, mesh, holds):
    slow_name, slow = holds.send()
    line = mesh.portal.inbox._line

    def hands_over(time_s: float) -> bool:
        """Have one follow another whose time is that; tell whether he did before that was over."""
        name, result = holds.send("value")
        leader = in_thread(lambda: slow.get(timeout=time_s))
        wait_until(lambda: line.leader or leader.done())
        follower = in_thread(lambda: result.get(timeout=TIMEOUT_S))
        followed = wait_until(lambda: len(line.parked) or (leader.done() and -1)) > 0
        with pytest.raises(TaskTimeout):
            leader.result(TIMEOUT_S)
        holds.let_go(name)
        assert follower.result(TIMEOUT_S) == "value"
        return followed

    # a machine that stands still needs longer for that
    assert any(hands_over(time_s) for time_s in (0.3, 3.0, 30.0))
    holds.let_go(slow_name)


def test_one_who_has_his_result_hands_over(app, mesh, holds):
    first_name, first = holds.send("first")
    leader = in_thread(lambda: first.get(timeout=TIMEOUT_S))
    leads(mesh)
    name, result = holds.send("second")
    followers = [in_thread(lambda: result.get(timeout=TIMEOUT_S)) for _ in range(3)]
    parked(mesh, 3)
    holds.let_go(first_name)
    assert leader.result(TIMEOUT_S) == "first"
    holds.let_go(name)
    assert [follower.result(TIMEOUT_S) for follower in followers] == ["second"] * 3


def test_a_follower_whose_time_is_over_leaves_the_others_alone(app, mesh, holds):
    name, result = holds.send("value")
    leader = in_thread(lambda: result.get(timeout=TIMEOUT_S))
    leads(mesh)
    with pytest.raises(TaskTimeout):
        mesh.result(result.id).get(timeout=0.05)
    holds.let_go(name)
    assert leader.result(TIMEOUT_S) == "value"


def test_those_who_wait_for_others_are_left_asleep(app, mesh, holds, monkeypatch):
    """Each result wakes who waits for it, and not the other thirty."""
    name, result = holds.send("value")
    sleepers = [in_thread(lambda: mesh.result(result.id).get(timeout=TIMEOUT_S)) for _ in range(30)]
    parked(mesh, 29)
    calls = []
    listen = mesh.portal.inbox.listen
    monkeypatch.setattr(mesh.portal.inbox, "listen", lambda *args: calls.append(args[0]) or listen(*args))
    begun_s = time.monotonic()
    for n in range(200):
        app.add.delay(n).get(timeout=TIMEOUT_S)
    slices = time.monotonic() - begun_s + 1
    # one call of each get, and one of each sleeper a second
    assert len(calls) < 200 * 2 + 31 * slices
    holds.let_go(name)
    assert [sleeper.result(TIMEOUT_S) for sleeper in sleepers] == ["value"] * 30


@pytest.mark.parametrize("again", range(3))
def test_an_interrupted_leader_hands_over(app, mesh, holds, again):
    """Ctrl-C in the main thread, which leads; a thread that is parked gets what it waits for."""
    slow_name, slow = holds.send()
    name, result = holds.send("value")

    def follow():
        parked_or_not = threading.Thread(target=interrupt)
        parked_or_not.start()
        value = result.get(timeout=TIMEOUT_S)
        parked_or_not.join()
        return value

    def interrupt():
        parked(mesh, 1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    # ignored where the tests run in the background of a shell
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        follower = in_thread(lambda: leads(mesh) and follow())
        with pytest.raises(KeyboardInterrupt):
            slow.get(timeout=TIMEOUT_S)
    finally:
        signal.signal(signal.SIGINT, before)
    holds.let_go(name)
    assert follower.result(TIMEOUT_S) == "value"
    holds.let_go(slow_name)


def test_what_was_read_by_an_interrupted_leader_is_not_lost(app, mesh, holds, monkeypatch):
    """Between reading a notice and putting it in."""
    name, result = holds.send("value")
    put_in = inbox.Inbox._put_in

    def interrupted(self, outcome):
        monkeypatch.setattr(inbox.Inbox, "_put_in", put_in)
        raise KeyboardInterrupt

    def let_go():
        leads(mesh)
        monkeypatch.setattr(inbox.Inbox, "_put_in", interrupted)
        holds.let_go(name)

    waiting = in_thread(let_go)
    with pytest.raises(KeyboardInterrupt):
        result.get(timeout=TIMEOUT_S)
    waiting.result(TIMEOUT_S)
    assert result.get(timeout=TIMEOUT_S) == "value"


def test_a_signal_handler_may_get_while_the_main_thread_leads(app, mesh, holds):
    name, result = holds.send("value")
    found = []

    def handle(signum, frame):
        found.append(app.add.delay(2, 2).get(timeout=TIMEOUT_S))
        holds.let_go(name)

    main = threading.main_thread().ident
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        sender = in_thread(lambda: leads(mesh) and signal.pthread_kill(main, signal.SIGUSR1))
        assert result.get(timeout=TIMEOUT_S) == "value"
        sender.result(TIMEOUT_S)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert found == [4]
    assert mesh.portal.inbox._line.leader is None


def test_nobody_leads_when_nobody_waits(app, mesh):
    app.add.delay(1).get(timeout=TIMEOUT_S)
    assert mesh.portal.inbox._line.leader is None
    assert not mesh.portal.inbox._line.parked


# -- several handles, several processes -------------------------------------------


def test_all_handles_on_one_id_are_told(app, mesh, holds):
    name, result = holds.send("value")
    handles = [result, *[mesh.result(result.id) for _ in range(3)]]
    waiting = [in_thread(handle.get, TIMEOUT_S) for handle in handles]
    parked(mesh, 3)
    holds.let_go(name)
    assert [each.result(TIMEOUT_S) for each in waiting] == ["value"] * 4


def test_results_that_others_sent_are_heard_of(app, mesh, other, holds):
    name, result = holds.send("value")
    found = other.result(result.id)
    waiting = in_thread(found.get, TIMEOUT_S)
    leads(other)
    holds.let_go(name)
    assert waiting.result(TIMEOUT_S) == "value"


def test_an_id_that_another_process_sent_first_is_heard_of(app, mesh, other, holds):
    """Its record names the channel of the first sender."""
    app.add.delay(1).get(timeout=TIMEOUT_S)
    name, args = holds.call("value")
    first = as_task(other, app.hold).apply_async(args, task_id=f"first-{name}")
    second = app.hold.apply_async(args, task_id=f"first-{name}")
    with mesh.batch():
        third = app.hold.apply_async(args, task_id=f"first-{name}")
    waiting = [in_thread(second.get, TIMEOUT_S), in_thread(third.get, TIMEOUT_S)]
    parked(mesh, 1)
    holds.let_go(name)
    assert [each.result(TIMEOUT_S) for each in waiting] == ["value", "value"]
    assert first.get(timeout=TIMEOUT_S) == "value"


def test_ids_of_one_other_process_cost_one_subscription(app, mesh, other, holds, monkeypatch):
    app.add.delay(1).get(timeout=TIMEOUT_S)
    round_ = mesh.portal.inbox.round
    channel = keys.channel(other.link.prefix, other.link.channel)
    added = []
    subscription = mesh.portal.inbox._subscription
    add = subscription.add
    monkeypatch.setattr(subscription, "add", lambda names: added.append(set(names)) or add(names))
    sent = []
    for _ in range(2):
        name, args = holds.call("value")
        handle = as_task(other, app.hold).delay(*args)
        holds.note(name, handle)
        sent.append((name, handle))
    for name, handle in sent:
        waiting = in_thread(mesh.result(handle.id).get, TIMEOUT_S)
        leads(mesh)
        wait_until(lambda: channel in mesh.portal.inbox._foreign, TIMEOUT_S)
        holds.let_go(name)
        assert waiting.result(TIMEOUT_S) == "value"
    assert added == [{channel}]
    assert mesh.portal.inbox.round == round_, "and nobody had to begin anew for it"


def test_channels_that_nobody_needs_are_left(app, mesh, make_mesh, holds, monkeypatch):
    app.add.delay(1).get(timeout=TIMEOUT_S)
    monkeypatch.setattr(inbox, "CHANNEL_LINGER_S", 0.0)
    handles = []
    for _ in range(3):
        name, args = holds.call("value")
        handle = as_task(make_mesh(), app.hold).delay(*args)
        found = mesh.result(handle.id)
        waiting = in_thread(found.get, TIMEOUT_S)
        wait_until(lambda h=handle: mesh.portal.inbox._line.leader, TIMEOUT_S)
        holds.let_go(name)
        assert waiting.result(TIMEOUT_S) == "value"
        handles.append(found)
    wait_until(lambda: len(mesh.portal.inbox._subscription.channels) <= 3, TIMEOUT_S)
    assert len(mesh.portal.inbox._foreign) == 1


def test_a_handle_whose_channel_was_left_is_heard_of_when_waited_for_again(
    app, mesh, make_mesh, holds, monkeypatch
):
    monkeypatch.setattr(inbox, "CHANNEL_LINGER_S", 0.0)
    app.add.delay(1).get(timeout=TIMEOUT_S)
    name, args = holds.call("value")
    result = mesh.result(as_task(make_mesh(), app.hold).delay(*args).id)
    with pytest.raises(TaskTimeout):
        result.get(timeout=0.05)
    # somebody else's channel takes its place
    second, more = holds.call()
    with pytest.raises(TaskTimeout):
        mesh.result(as_task(make_mesh(), app.hold).delay(*more).id).get(timeout=0.05)
    waiting = in_thread(result.get, TIMEOUT_S)
    leads(mesh)
    holds.let_go(name)
    holds.let_go(second)
    assert waiting.result(TIMEOUT_S) == "value"


# -- abandoned handles, unread notices --------------------------------------------


def test_abandoned_handles_cost_nothing(mesh):
    inbox_ = mesh.portal.inbox
    for n in range(100_000):
        inbox_.expect(AsyncResult(mesh.portal, f"abandoned-{n}"))
    assert len(inbox_._expected) <= 2 * expected.PURGE_AT_LEAST
    inbox_._expected.purge()
    assert len(inbox_._expected) == 0


def test_handles_added_during_a_purge_are_kept(mesh):
    table = expected.Expected()
    stop = threading.Event()

    def purge():
        # a moment apart: who lets go of a lock and takes it again at once lets nobody else have it
        while not stop.wait(0.0001):
            table.purge()

    purging = in_thread(purge)
    held = []
    for n in range(20_000):
        # another handle on the id of one that was abandoned a moment ago
        table.add(AsyncResult(mesh.portal, f"id{n}"))
        handle = AsyncResult(mesh.portal, f"id{n}")
        table.add(handle)
        held.append(handle)
    stop.set()
    purging.result(TIMEOUT_S)
    assert all(list(table.take(handle.id)) == [handle] for handle in held)


@pytest.mark.parametrize("many", [True, False])
def test_one_who_only_sends_stops_listening(app, make_mesh, monkeypatch, many):
    monkeypatch.setattr(inbox, "UNREAD_MAX", 500)
    mesh = make_mesh()
    add = as_task(mesh, app.add)
    add.delay(1).get(timeout=TIMEOUT_S)
    sent = add.map(range(490)) if many else ResultSet([add.delay(n) for n in range(490)])
    assert mesh.portal.inbox.round
    last = [add.delay(1) for _ in range(15)][-1]
    assert not mesh.portal.inbox.round
    assert last.get(timeout=TIMEOUT_S) == 1
    assert sent.get(TIMEOUT_S) == list(range(490))


def test_one_who_waits_goes_on_listening(app, mesh, holds, monkeypatch):
    monkeypatch.setattr(inbox, "UNREAD_MAX", 100)
    # where notices come late it would listen anew, in doubt
    monkeypatch.setattr(inbox, "SILENCE_S", 3600.0)
    name, result = holds.send("value")
    waiting = in_thread(result.get, TIMEOUT_S)
    leads(mesh)
    round_ = mesh.portal.inbox.round
    sent = app.add.map(range(500))
    assert mesh.portal.inbox.round == round_
    holds.let_go(name)
    assert waiting.result(TIMEOUT_S) == "value"
    assert sent.get(TIMEOUT_S) == list(range(500))


def test_notices_that_the_node_threw_away_are_read(app, mesh, monkeypatch):
    """The node closes a connection that lets too much pile up: who waits afterwards reads in batches."""
    app.add.delay(1).get(timeout=TIMEOUT_S)
    before = command(mesh, b"CONFIG", b"GET", b"client-output-buffer-limit")[1]
    command(mesh, b"CONFIG", b"SET", b"client-output-buffer-limit", b"pubsub 4096 0 0")
    round_ = mesh.portal.inbox.round
    try:
        sent = [app.echo.delay(b"x" * 2000) for _ in range(600)]
        wait_until(lambda: mesh.result(sent[-1].id).ready(), TIMEOUT_S)
        assert mesh.portal.inbox.round == round_, "nobody has noticed yet"
        counted = Counted(mesh, monkeypatch)
        assert {len(result.get(timeout=TIMEOUT_S)) for result in sent} == {2000}
    finally:
        command(mesh, b"CONFIG", b"SET", b"client-output-buffer-limit", before)
    assert mesh.portal.inbox.round not in (0, round_)
    assert counted("read") < 30


# -- lost connections -------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"pubsub", b"normal"])
def test_killed_connections_lose_nothing(app, mesh, holds, kind):
    name, result = holds.send("value")
    waiting = [in_thread(result.get, TIMEOUT_S) for _ in range(3)]
    leads(mesh)
    kill_connections(mesh, kind)
    more = app.add.delay(1, 1)
    holds.let_go(name)
    assert [each.result(TIMEOUT_S) for each in waiting] == ["value"] * 3
    assert more.get(timeout=TIMEOUT_S) == 2


def test_results_come_while_connections_are_killed_all_the_time(app, mesh):
    stop = threading.Event()

    def kill():
        while not stop.wait(0.01):
            with contextlib.suppress(NodeUnavailable):
                kill_connections(mesh, b"pubsub")

    killing = in_thread(kill)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda n: app.add.delay(n, 1).get(timeout=TIMEOUT_S), range(300)))
        assert app.add.map(range(300)).get(TIMEOUT_S) == list(range(300))
    finally:
        stop.set()
        killing.result(TIMEOUT_S)
    assert found == [n + 1 for n in range(300)]


def test_what_ended_while_nobody_could_listen_is_read(app, mesh, holds, monkeypatch):
    name, result = holds.send("value")
    waiting = in_thread(result.get, TIMEOUT_S)
    leads(mesh)
    begin = mesh.portal.inbox.begin
    tried = []

    def unreachable(within_s=None):
        tried.append(1)
        raise NodeUnavailable("cut off", node="test")

    monkeypatch.setattr(mesh.portal.inbox, "begin", unreachable)
    kill_connections(mesh, b"pubsub")
    wait_until(lambda: tried, TIMEOUT_S)
    holds.let_go(name)
    wait_until(lambda: mesh.result(result.id).ready(), TIMEOUT_S)
    assert not waiting.done()
    monkeypatch.setattr(mesh.portal.inbox, "begin", begin)
    assert waiting.result(TIMEOUT_S) == "value"


def test_one_who_times_out_is_told_why_he_heard_nothing(app, make_mesh, holds, monkeypatch):
    mesh = make_mesh()
    _, result = holds.send()

    def unreachable(within_s=None):
        raise NodeUnavailable("the node is cut off", node="test")

    monkeypatch.setattr(mesh.portal.inbox, "begin", unreachable)
    with pytest.raises(TaskTimeout, match="the node is cut off"):
        mesh.result(result.id).get(timeout=0.05)


def test_a_lost_notice_is_made_good_by_looking_again(app, mesh, holds, monkeypatch):
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 0.05)
    monkeypatch.setattr("taskmesh.client.waiter.LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr("taskmesh.client.waiter.LOOK_AGAIN_MAX", 2)
    app.add.delay(1).get(timeout=TIMEOUT_S)
    monkeypatch.setattr(mesh.portal.inbox, "_deliver", lambda payload: None)
    sent = app.add.map(range(10))
    assert sent.get(TIMEOUT_S) == list(range(10))


def test_a_private_node_that_is_closed_ends_waits(node_exists):
    mesh = TaskMesh("closed-early", embedded="private")
    task = mesh.task(lambda: 1)
    result = task.delay()
    waiting = in_thread(result.get, TIMEOUT_S)
    executor = mesh.executor()
    future = executor.submit(pow, 2, 2)
    leads(mesh)
    mesh.close()
    with pytest.raises(NodeUnavailable, match="closed"):
        waiting.result(TIMEOUT_S)
    assert isinstance(future.exception(TIMEOUT_S), NodeUnavailable)
    with pytest.raises(NodeUnavailable, match="closed"):
        result.get()
    executor.shutdown()
    try:
        assert task.delay().state == "PENDING", "the mesh can be used again, with a new node"
    finally:
        mesh.close()
