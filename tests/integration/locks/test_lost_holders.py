"""Holders that are killed, stopped or cut off: others get the lock, and what was held is known to be lost."""

from __future__ import annotations

import time

from taskmesh.consensus.listing import names
from taskmesh.scheduler.candidate import Standing
from tests.support import wait_until

#: A short lease that outlives a machine which stands still for some seconds.
TTL_S = 6.0


def test_the_lock_of_a_killed_process_is_free_after_its_lease(mesh, make_holder):
    holder = make_holder()
    token = holder.ask("acquire", "x", ttl=2, lock_delay=0)
    holder.kill()
    since_s = time.monotonic()
    with mesh.lock("x", wait=90) as lock:
        assert lock.token > token
    # its lease runs from its last sign of life, at most: never sooner than others may think
    assert time.monotonic() - since_s >= 1.0


def test_a_lock_delay_comes_on_top(mesh, make_holder):
    holder = make_holder()
    holder.ask("acquire", "x", ttl=2, lock_delay=2)
    holder.kill()
    since_s = time.monotonic()
    with mesh.lock("x", wait=90):
        assert time.monotonic() - since_s >= 3.0


def test_who_was_stopped_past_his_lease_knows_it(mesh, make_holder):
    holder = make_holder()
    token = holder.ask("acquire", "x", ttl=2, lock_delay=0)
    holder.stop()
    with mesh.lock("x", wait=90) as lock:
        assert lock.token > token
        holder.go_on()
        assert holder.ask("check", "x")["error"] in ("LockInJeopardy", "LockLost")
        wait_until(lambda: holder.ask("check", "x")["error"] == "LockLost")
        wait_until(lambda: "LockLost" in holder.ask("heard"))
        assert holder.ask("release", "x") is False


def test_a_process_that_ends_gives_back_at_once(mesh, make_holder):
    holder = make_holder()
    holder.ask("acquire", "x", ttl=60)
    assert holder.process.stdin is not None
    holder.process.stdin.close()
    holder.process.wait(90)
    assert mesh.lock("x").acquire(wait=0)


def test_a_forked_child_holds_nothing(mesh, make_holder):
    holder = make_holder()
    holder.ask("acquire", "x")
    assert holder.ask("fork", "x") == ["LockLost", "False", "False", "False"]
    assert holder.ask("check", "x") == "held"
    assert holder.ask("release", "x") is True


def test_the_one_who_waited_behind_a_killed_one_is_next(mesh, make_holder):
    first = mesh.lock("x", ttl=TTL_S)
    first.acquire()
    dead = make_holder()
    dead.say("acquire", "x", ttl=TTL_S)
    wait_until(lambda: line(mesh)[1] == 1)
    last = make_holder()
    last.say("acquire", "x", ttl=TTL_S)
    wait_until(lambda: line(mesh)[1] == 2)
    dead.kill()
    first.release()
    assert last.hear() > 0


def test_the_leader_ends_the_sessions_of_processes_that_are_no_more(make_mesh, make_holder, monkeypatch):
    """Nobody else has a session, so nobody else looks for them."""
    monkeypatch.setattr("taskmesh.scheduler.care.CARE_S", 0.05)
    monkeypatch.setattr("taskmesh.scheduler.sweeping.SWEEP_S", 0.05)
    mesh, own = make_mesh(), make_mesh()
    holder = make_holder()
    holder.ask("write", "workers/1", "here", ephemeral=True, ttl=2)
    holder.ask("acquire", "x", ttl=60)
    assert len(registers(mesh, "session/")) == 2
    standing = Standing(own.link, own.agreement, "cat").start()
    try:
        holder.kill()
        wait_until(lambda: len(registers(mesh, "session/")) == 1, what="the one with a short lease is ended")
        assert registers(mesh, "file/") == []
    finally:
        standing.join(90)


def registers(mesh, prefix: str) -> list[str]:
    return mesh.agreement.run(names(mesh.agreement.registers, prefix))


def line(mesh) -> tuple[int, int]:
    from taskmesh.coordination.acquire import look

    coordinator = mesh.coordinator
    found = coordinator.conversing.run(look(coordinator.means, ["lock/x"]))["lock/x"]
    return len(found.holders), len(found.waiters)


def test_the_token_of_who_was_stopped_is_refused(mesh, make_holder):
    holder = make_holder()
    token = holder.ask("acquire", "x", ttl=2, lock_delay=0)
    holder.ask("write_with_token", "ledger", "first", "x")
    holder.stop()
    with mesh.lock("x", wait=90) as lock:
        mesh.files.write("ledger", "second", fence=lock.token)
        holder.go_on()
        refused = holder.ask("write_with_token", "ledger", "third", "x")
    assert refused["error"] == "Fenced"
    assert f"token {token} is older than {lock_token(refused)}" in refused["text"]
    assert mesh.files.read("ledger").text == "second"


def lock_token(refused: dict[str, str]) -> int:
    return int(refused["text"].partition(" is older than ")[2].partition(",")[0])
