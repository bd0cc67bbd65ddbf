"""`mesh.inspect()` beside two real children."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskmesh.cli.doctor.hanging import check_hanging
from taskmesh.cli.worker_list import workers_of
from taskmesh.client.inspect import Rows
from taskmesh.core import keys
from taskmesh.errors import UsageError
from taskmesh.nodes.look import Look
from taskmesh.queue.claim import claim, recall
from taskmesh.queue.inspect import scheduled
from taskmesh.queue.manage import status
from tests.integration.client.node import command
from tests.support import wait_until


def only(found):
    """Return what belongs to the one worker that serves the app."""
    (rows,) = found.values()
    return rows


@pytest.fixture(autouse=True)
def children_are_known(mesh):
    """They are published a moment after they have started."""
    wait_until(
        lambda: len(only(mesh.inspect().stats()).get("children", ())) == 2, what="the children are known"
    )


def test_what_runs_is_shown_with_its_age_and_child(mesh, holds):
    name, handle = holds.send()
    holds.began(name)
    row = wait_until(
        lambda: next(
            (row for row in only(mesh.inspect().active()) if row["id"] == handle.id and row["started"]), None
        ),
        what="the worker has published that it runs",
    )
    assert row["task"] == "tests.apps.client_tasks.hold"
    assert (row["queue"], row["attempt"], row["crashes"], row["verified"]) == ("default", 1, 0, True)
    assert row["age_s"] >= 0
    assert row["pid"] in only(mesh.inspect().stats())["children"]


def test_what_began_since_the_last_beat_is_shown_too(mesh, holds):
    name, handle = holds.send()
    holds.began(name)
    assert handle.id in {row["id"] for row in only(mesh.inspect().active())}


def test_a_queue_behind_tasks_that_hang_is_found_by_doctor(mesh, holds, monkeypatch):
    monkeypatch.setattr("taskmesh.cli.doctor.hanging.LONG_S", 0.2)

    def found():
        look = Look(mesh.link)
        counted = look.run(status(mesh.link.session))
        return list(check_hanging(mesh, look, counted, workers_of(counted)))

    holds.all_children()
    assert found() == []
    waiting = mesh.tasks["tests.apps.client_tasks.hold"].apply_async(("", "", 0))
    (finding,) = wait_until(found, what="doctor sees that all children are busy")
    assert "1 wait in default" in finding.text
    assert finding.text.count("tests.apps.client_tasks.hold (") == 2
    assert waiting.id not in finding.text
    waiting.revoke()


def test_what_a_child_has_claimed_and_not_begun_is_reserved(mesh, holds):
    """Made by hand: a message waits behind another for a moment only."""
    link = mesh.link
    holds.all_children()
    handles = [
        mesh.tasks["tests.apps.client_tasks.hold"].apply_async(("", "", 0), queue="aside") for _ in range(3)
    ]
    (worker,) = mesh.inspect().workers()
    holder = worker.incarnation.encode() + b"fffff0"
    claimed = link.run(claim(link.session, holder, 1, 3, [b"aside"], idle=False))
    assert len(claimed) == 3

    def unreported(look: Callable[[], Rows]) -> list[str]:
        """Return what this child holds, which is in no report: it is looked for where a worker has none."""
        command(mesh, b"HDEL", keys.worker(link.prefix, worker.incarnation.encode()), b"report")
        return [row["id"] for row in only(look()) if row["child"] == 0x3FFFF0]

    try:
        waiting = [handle.id for handle in handles[1:]]
        # its next beat may come in between
        wait_until(lambda: unreported(mesh.inspect().reserved) == waiting)
        wait_until(lambda: unreported(mesh.inspect().active) == [handles[0].id])
        wait_until(lambda: unreported(mesh.inspect(limit=1).reserved) == waiting[:1])
    finally:
        link.run(recall(link.session, holder, 1, 0))
        for handle in handles:
            handle.revoke()
        command(mesh, b"HDEL", keys.worker(link.prefix, worker.incarnation.encode()), b"sfffff0")
        wait_until(lambda: "ok" in only(mesh.inspect().ping()), what="the worker has published again")


def test_what_waits_for_its_time_is_shown_in_its_order(mesh, app):
    handles = [
        app.mesh.tasks["tests.apps.client_tasks.hold"].apply_async(("", "", 0), countdown=3600 - at)
        for at in range(5)
    ]
    stale = f"{handles[0].id}:00000009".encode()  # as of a version that the message never had
    command(mesh, b"ZADD", mesh.link.prefix + b"d", b"1", stale)
    try:
        rows = mesh.inspect(limit=100).scheduled()["node"]
        mine = [row for row in rows if row["id"] in {handle.id for handle in handles}]
        assert [row["id"] for row in mine] == [handle.id for handle in reversed(handles)]
        assert {row["state"] for row in mine} == {"SCHEDULED"}
        assert mine[0]["eta"] < mine[1]["eta"]
        command(mesh, b"ZREM", mesh.link.prefix + b"d", stale)
        assert mesh.inspect(limit=2).scheduled()["node"] == rows[:2]
        assert mesh.inspect(limit=2).scheduled(start=2)["node"] == rows[2:4]
        handles[-1].revoke()
        assert handles[-1].id not in {row["id"] for row in mesh.inspect().scheduled()["node"]}
    finally:
        for handle in handles:
            handle.revoke()


def test_a_page_of_a_hundred_thousand_is_read_at_once(mesh, make_mesh):
    """Time is not measured here, work is: a page costs one step for the scripts, however many wait."""
    key = mesh.link.prefix + b"d"
    hints = [word for at in range(100_000) for word in (b"%d" % (10**13 + at), b"ghost%d:00000001" % at)]
    for at in range(0, len(hints), 20_000):
        command(mesh, b"ZADD", key, *hints[at : at + 20_000])
    handle = mesh.tasks["tests.apps.client_tasks.hold"].apply_async(("", "", 0), countdown=60)
    try:
        steps, count = scheduled(mesh.link.session, 1), 0

        def counted():
            nonlocal count
            request = next(steps)
            try:
                while True:
                    count += 1
                    request = steps.send((yield request))
            except StopIteration as stop:
                return stop.value

        total, found = mesh.link.run(counted())
        assert (total >= 100_001, [waiting.task_id for waiting in found], count) == (True, [handle.id], 1)
    finally:
        handle.revoke()
        command(mesh, b"ZREMRANGEBYSCORE", key, b"%d" % 10**13, b"+inf")


def test_registered_tasks_and_stats_and_ping(mesh, app):
    assert "tests.apps.client_tasks.hold" in only(mesh.inspect().registered())
    before = only(mesh.inspect().stats())["processed"]["SUCCESS"]
    app.mesh.submit(len, "four").get(90)
    stats = wait_until(
        lambda: (found := only(mesh.inspect().stats()))["processed"]["SUCCESS"] > before and found,
        what="it is counted",
    )
    assert (stats["state"], stats["pool"], stats["concurrency"], stats["queues"]) == (
        "live",
        "process:2",
        2,
        ["default"],
    )
    assert stats["rss_bytes"] > 10_000_000
    assert stats["uptime_s"] > 0
    assert len(stats["children"]) == 2
    wait_until(lambda: only(mesh.inspect().ping()).get("ok") == "pong", what="its heart beats")


def test_a_worker_is_named_or_refused(mesh):
    (name,) = mesh.inspect().ping()
    assert set(mesh.inspect(name).stats()) == {name}
    with pytest.raises(UsageError, match=f"has no worker 'nobody'; it has {name}"):
        mesh.inspect("nobody").active()


def test_what_cannot_be_verified_is_told_and_not_shown(mesh, holds):
    """Somebody who can write to the node changes a message that runs, and a worker's report."""
    name, handle = holds.send()
    holds.began(name)
    (worker,) = mesh.inspect().workers()
    key = keys.record(mesh.link.prefix, handle.id)
    raw = command(mesh, b"GET", key)
    at = raw.index(b"hold")
    command(mesh, b"SETRANGE", key, b"%d" % at, b"bold")
    (row,) = [row for row in only(mesh.inspect().active()) if row["id"] == handle.id]
    assert (row["task"], row["verified"]) == (None, False)
    command(mesh, b"SETRANGE", key, b"%d" % at, b"hold")
    key = keys.worker(mesh.link.prefix, worker.incarnation.encode())

    def refused() -> str:
        command(mesh, b"HSET", key, b"report", b"\x01forged")
        return only(mesh.inspect().ping()).get("error", "")

    # the next beat may come in between
    assert "not a signed report" in wait_until(refused)
    wait_until(lambda: "ok" in only(mesh.inspect().ping()), what="the next beat replaces it")


def test_a_heart_that_has_stopped_is_told(mesh, monkeypatch):
    clock = mesh.link.clock
    real = type(clock).now_ms
    monkeypatch.setattr(type(clock), "now_ms", lambda self: real(self) + 60_000)
    pulse = only(mesh.inspect().ping())
    assert "its last beat is" in pulse["error"]
    assert pulse["beat_age_s"] >= 59
