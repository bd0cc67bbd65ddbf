"""Revoking what runs, on real processes: with terminate the run is ended, and it never begins again either way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from taskmesh.codec.control import TERMINATE, Control, encode_control
from taskmesh.errors import TaskRevoked, UsageError
from taskmesh.queue.control import give_orders
from tests.apps import limited_tasks as limited
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, is_gone, kill
from tests.support import wait_until


@pytest.mark.parametrize("signal_name", ["TERM", "sigkill"])
@pytest.mark.parametrize("function", [limited.spin, limited.backtrack, tasks.hold])
def test_what_runs_is_ended_and_its_child_replaced(scene: Scene, function: Any, signal_name: str) -> None:
    """Whatever it does, also when it never lets go of the interpreter; its neighbours run, and nobody is charged."""
    worker = scene.worker(1)
    long = scene.send(function, str(scene.folder), "long", expect=TaskRevoked)
    pid = scene.started("long")
    behind = scene.send_many(tasks.add, [(i, 1) for i in range(5)], range(1, 6))
    assert not long.revoke(terminate=True, signal=signal_name)
    with pytest.raises(TaskRevoked, match=f"by client .* with SIG{signal_name.upper().removeprefix('SIG')}"):
        long.get(90)
    assert is_gone(pid)
    behind.get(90)
    scene.check()
    assert scene.notes() == [f"long {pid}"]
    (told,) = [
        line for line in worker.said().splitlines() if f"{long.id} (" in line and "was revoked" in line
    ]
    assert re.search(
        r"INFO .*\) was revoked while it ran, by client .* with SIG\w+, and its process was ended", told
    )
    assert scene.node.hlen(f"{scene.prefix}rv") == 0


def test_a_task_may_clean_up_when_it_is_told_to_end(scene: Scene) -> None:
    scene.worker(1)
    sync = scene.send(limited.clean_up, str(scene.folder), "sync", expect=TaskRevoked)
    scene.started("sync")
    sync.revoke(terminate=True)
    sync.get(90, propagate=False)
    waits = scene.send(limited.clean_up_async, str(scene.folder), "waits", expect=TaskRevoked)
    scene.started("waits")
    waits.revoke(terminate=True)
    scene.check()
    assert {"sync-cleaned", "waits-cleaned"} <= set(scene.notes())


def test_what_takes_no_notice_is_killed(scene: Scene) -> None:
    scene.worker(1)
    deaf = scene.send(limited.ignore_everything, str(scene.folder), "deaf", expect=TaskRevoked)
    scene.started("deaf")
    deaf.revoke(terminate=True)
    scene.check()
    assert "deaf-told" in scene.notes()


def test_one_that_ends_by_itself_before_it_is_killed_has_ended(scene: Scene) -> None:
    """It caught what was raised, and returned."""
    scene.worker(1)
    stubborn = scene.send(limited.finish_anyway, str(scene.folder), "stubborn", 7, expect=7)
    scene.started("stubborn")
    stubborn.revoke(terminate=True)
    assert stubborn.get(90) == 7
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_one_that_was_claimed_and_has_not_begun_is_taken_out(scene: Scene) -> None:
    """It waits behind another in the same claim; that one, and those around it, are not touched."""
    folder = str(scene.folder)
    # stopped, it can take nothing back: the order alone must do it
    worker = scene.worker(1)

    def claimed_together() -> tuple[str, Any] | None:
        scene.send_many(tasks.hold_or_nap, [(folder, "train", 0.0)] * 300, [0.0] * 300)
        scene.settle()
        worker.send(signal.SIGSTOP)
        turn = f"turn{len(scene.accepted)}"
        calls = [(folder, f"{turn}-m{i}", s) for i, s in enumerate([-1.0, 0.0, 0.0])]
        sent = scene.send_many(tasks.hold_or_nap, calls, [-1.0, 0.0, 0.0])
        scene.started(f"{turn}-m0")
        if scene.states()["STARTED"] == 3:
            return turn, sent
        # where the machine stood still meanwhile, a child may claim singly
        worker.send(signal.SIGCONT)
        scene.let(f"{turn}-m0")
        return None

    turn, sent = wait_until(claimed_together, 240, "all are claimed")
    scene.enter(sent[1], TaskRevoked)
    assert not sent[1].revoke(terminate=True)
    worker.send(signal.SIGCONT)
    assert isinstance(sent[1].get(90, propagate=False), TaskRevoked)
    scene.let(f"{turn}-m0")
    scene.check()
    assert not [line for line in scene.notes() if line.startswith(f"{turn}-m1")]


def test_without_terminate_it_goes_on_and_never_begins_again(scene: Scene) -> None:
    scene.worker(1)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=TaskRevoked)
    first = scene.started("held")
    assert not held.revoke()
    assert scene.state_of(held) == "STARTED"
    kill(first)
    scene.check()
    assert len(scene.notes()) == 1
    assert scene.crashes(held) == 0


def test_without_terminate_the_task_may_see_it_and_return(scene: Scene) -> None:
    scene.worker(1)
    watch = scene.send(limited.watch, str(scene.folder), "watch", expect="saw it")
    scene.started("watch")
    assert not watch.revoke()
    scene.check()


def test_an_order_that_comes_again_or_late_touches_no_other_run(scene: Scene) -> None:
    """It names the claim. The child runs something else by then, or the same message in another claim."""
    scene.worker(1)
    first = scene.send(tasks.hold, str(scene.folder), "first", expect=0)
    scene.started("first")
    record = scene.record(first.id)
    assert record is not None
    link = scene.mesh.link.open()
    order = encode_control(
        Control(
            "again",
            TERMINATE,
            arguments={"signal": "KILL", "runs": [[first.id, record.token], [first.id, "junk"], 5]},
            created_ms=link.clock.now_ms() - 3_600_000,
            sender="a test",
        ),
        link.controls,
    )
    scene.let("first")
    first.get(90)
    second = scene.send(tasks.hold, str(scene.folder), "second", expect=0)
    scene.started("second")
    (incarnation,) = scene.live_workers().values()
    for _ in range(3):
        assert link.run(give_orders(link.session, [incarnation.encode()], order)) == 1
    control = f"{scene.prefix}control:{incarnation}"
    wait_until(lambda: not scene.node.exists(control), what="the orders were read")
    wait_until(lambda: "is not obeyed" in scene.workers[0].said(), what="what cannot be read in it is logged")
    assert scene.state_of(second) == "STARTED"
    scene.let("second")
    scene.check()


def test_a_worker_that_dies_before_it_reads_the_order_is_obeyed_by_the_others(scene: Scene) -> None:
    """The message is never begun again, and the order's list goes with the worker."""
    worker = scene.worker(1, name="first")
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=TaskRevoked)
    scene.started("held")
    worker.send(signal.SIGSTOP)
    held.revoke(terminate=True)
    worker.signal_all(signal.SIGKILL)
    scene.worker(1, name="second")
    scene.check()
    assert len(scene.notes()) == 1
    wait_until(lambda: not scene.node.keys(f"{scene.prefix}control:*"), what="no list of orders is left")


def test_many_are_ended_at_once(scene: Scene) -> None:
    scene.worker(3)
    sent = scene.send_many(tasks.hold, [(str(scene.folder), f"m{i}") for i in range(6)], [TaskRevoked] * 6)
    wait_until(lambda: len(scene.notes()) == 3, what="three run")
    assert sent.revoke(terminate=True) == 3
    scene.check()
    assert len(scene.notes()) == 3


def test_a_stopped_child_is_ended(scene: Scene) -> None:
    scene.worker(1)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=TaskRevoked)
    os.kill(scene.started("held"), signal.SIGSTOP)
    held.revoke(terminate=True)
    scene.check()


@pytest.mark.parametrize("signal_name", ["STOP", "", "9", None, "SIGCHLD"])
def test_what_ends_no_process_is_refused(scene: Scene, signal_name: Any) -> None:
    handle = scene.mesh.result("any")
    with pytest.raises(UsageError, match="expected one of TERM, KILL"):
        handle.revoke(terminate=True, signal=signal_name)


def test_the_command_says_what_was_done(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in scene.settings.items():
        monkeypatch.setenv(f"TASKMESH_{key.upper()}", str(value))
    scene.worker(1)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=TaskRevoked)
    scene.started("held")
    waits = scene.send(tasks.add, 1, 2, expect=TaskRevoked)
    words = ["revoke", held.id, waits.id, "unknown", "--mesh", scene.name, "--json", "--terminate"]
    done = subprocess.run(
        [sys.executable, "-m", "taskmesh", *words], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1, done.stderr
    for words in ("its worker is told to end it", '"REVOKED"', "nothing is known of it"):
        assert words in done.stdout
    scene.check()
