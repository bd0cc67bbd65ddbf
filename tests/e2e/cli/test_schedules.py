"""`taskmesh schedule`, `leader` and `scheduler`, beside a worker that serves the mesh."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.e2e.cli.shell import APP
from tests.faults.server import free_port
from tests.support import wait_until

T = TypeVar("T")


def told(asked: Callable[[], T], timeout_s: float = 90.0) -> T:
    """Ask by a command until it tells what is wanted, and return that: each time takes a process half a second."""
    return wait_until(asked, timeout_s, every_s=1.0)


def test_a_schedule_from_the_shell(served):
    """Added, shown, fired by the worker, paused, resumed, run by hand, removed."""
    made = served.run("schedule", "add", "sums", "add", "1", "2", "--every", "0.2s", "--json").json
    assert (made["task"], made["when"], made["changed"]) == ("app.add", "every 200ms", True)
    assert [each["name"] for each in served.run("schedule", "list", "--json").json] == ["sums"]
    assert "pickled; --args shows them" in served.run("schedule", "show", "sums").out
    assert "(1, 2)" in served.run("schedule", "show", "sums", "--args").out
    assert served.run("schedule", "show", "sums", "--args", "--json").json["arguments"] == "1, 2"
    assert "every 200ms" in served.run("schedule", "list").out
    wait_until(lambda: "sums" in served.run("schedule", "show", "sums").out)
    sent = served.run("schedule", "run-now", "sums", "--json").json
    assert served.run("result", sent["id"], "--wait", "90", "--json").json["value"] == 3
    assert served.run("schedule", "pause", "sums", "--json").json["changed"]
    assert "was paused already" in served.run("schedule", "pause", "sums").out
    assert served.run("schedule", "show", "sums", "--json").json["next"] is None
    assert "never" not in served.run("schedule", "show", "sums").out
    assert "`taskmesh schedule resume sums`" in served.run("schedule", "next", "sums").out
    assert "is resumed" in served.run("schedule", "resume", "sums").out
    assert "is removed" in served.run("schedule", "remove", "sums").out
    past = served.run("schedule", "add", "past", "add", "1", "2", "--once", "2020-01-01T00:00")
    assert ("next: never" in past.out, "it never fires" in past.err) == (True, True)
    served.run("schedule", "remove", "past")  # the mesh is shared with other tests
    assert "no schedule 'sums'" in served.run("schedule", "show", "sums", code=2).err


def test_the_worker_leads_and_hands_over_to_a_scheduler(shell):
    """`taskmesh leader` tells it; each handover has a greater token."""
    shell.write("app.py")
    shell.environ["TASKMESH_APP"] = "app.py"
    worker = shell.worker("-c", "1", "-n", "one")
    first = told(lambda: (shown := shell.run("leader", "--json").json)["leader"] and shown)
    assert (first["leader"], first["changes"][0]["what"]) == ("one", "elected")
    scheduler = shell.start("scheduler", "-n", "two")
    told(lambda: "two" not in shell.run("leader").out)
    worker.ends(signal.SIGTERM)
    second = told(lambda: (shown := shell.run("leader", "--json").json)["leader"] == "two" and shown)
    assert second["token"] > first["token"]
    assert [each["what"] for each in second["changes"]] == ["elected", "resigned", "elected"]
    ended = scheduler.ends(signal.SIGTERM)
    assert (ended.code, "two stands for leader of mesh" in ended.err, "two has stopped" in ended.err) == (
        0,
        True,
        True,
    )
    told(lambda: "nobody leads" in shell.run("leader").out)


@pytest.mark.slow
def test_a_dead_leader_is_told_of_with_the_remedy(shell):
    """By `leader` and `doctor`; the latter only where a schedule would fire."""
    shell.write("app.py")
    shell.environ["TASKMESH_APP"] = "app.py"

    def checked():
        checks = shell.run("doctor", "--json").json["checks"]
        return next(check for check in checks if check["check"] == "leader")

    scheduler = shell.start("scheduler", "-n", "one")
    told(lambda: shell.run("leader", "--json").json["lives"])
    assert (checked()["level"], "one (" in checked()["text"]) == ("ok", True)
    scheduler.ends(signal.SIGKILL)
    told(lambda: "one is gone, and nobody leads" in shell.run("leader").out)
    assert (checked()["level"], "no schedule waits" in checked()["text"]) == ("ok", True)
    shell.run("schedule", "add", "sums", "add", "1", "2", "--every", "1h")
    found = checked()
    assert (found["level"], "1 schedule does not fire" in found["text"]) == ("warn", True)
    assert "taskmesh scheduler" in found["remedy"]


def test_next_firings_in_their_zone_and_in_utc(shell):
    """Also of a cron line that no schedule has, with no node and no app."""
    rows = shell.run(
        "schedule", "next", "--cron", "0 3 * * *", "--tz", "Asia/Tokyo", "--count", "3", "--json"
    ).json
    assert len(rows) == 3
    assert all("T03:00:00+09:00" in row["local"] and "T18:00:00+00:00" in row["utc"] for row in rows)
    assert "minute" in shell.run("schedule", "next", "--cron", "61 * * * *", code=2).err
    assert len(shell.run("schedule", "next", "--every", "8h", "--count", "4", "--json").json) == 4
    once = shell.run("schedule", "next", "--once", "2090-01-01T00:00", "--tz", "Asia/Tokyo", "--json").json
    assert [row["local"] for row in once] == ["2090-01-01T00:00:00+09:00"]
    assert "fire any more" in shell.run("schedule", "next", "--once", "2020-01-01T00:00").out
    assert "one of" in shell.run("schedule", "next", "--once", "2090-01-01T00:00", "--every", "5", code=2).err
    assert "give the NAME" in shell.run("schedule", "next", code=2).err
    assert "not both" in shell.run("schedule", "next", "x", "--cron", "0 3 * * *", code=2).err


def test_what_cannot_be_added_is_refused(served):
    """With the reason, and nothing is defined."""
    assert "give one of" in served.run("schedule", "add", "x", "add", code=2).err
    assert "no task 'nosuch'" in served.run("schedule", "add", "x", "nosuch", "--every", "5", code=2).err
    assert (
        "is not known"
        in served.run("schedule", "add", "x", "add", "--cron", "0 3 * * *", "--tz", "Mars", code=2).err
    )
    assert "takes" in served.run("schedule", "add", "x", "add", "1", "2", "3", "--every", "5", code=2).err
    assert served.run("schedule", "list", "--json").json == []


def test_a_scheduler_waits_for_its_node_at_the_start(shell, make_nodes):
    """As a worker does, with a schedule at the top of the app's module; where the wait has a bound, it ends by it.

    Its probes say so meanwhile: alive, and not ready.
    """
    shell.write("app.py", APP + '\n    mesh.schedule("sums", "every 1h", add.s(1, 2))\n')
    nodes = make_nodes(1)
    nodes.kill(0)
    shell.environ |= {"TASKMESH_APP": "app.py", "TASKMESH_NODES": nodes.urls[0], "TASKMESH_KEY": "w" * 64}
    shell.environ["TASKMESH_STARTUP_TIMEOUT"] = "0.1s"
    assert "start the server" in shell.run("scheduler", code=1).err
    del shell.environ["TASKMESH_STARTUP_TIMEOUT"]
    port = free_port()
    scheduler = shell.start("scheduler", "--probes", str(port)).until("the scheduler waits for it")
    live, ready = (f"http://127.0.0.1:{port}/{page}" for page in ("livez", "readyz?json"))
    wait_until(lambda: shell.run("probe", "--url", live, code=None).out == "ok\n", every_s=1.0)
    told = shell.run("probe", "--url", ready, "--json", code=1).json
    assert told["status"] == 503
    assert "it waits for its nodes" in told["reasons"][0]
    nodes.start(0)
    scheduler.until("schedule sums: every 1h")
    wait_until(
        lambda: shell.run("probe", "--url", ready, code=None).code == 0, what="it is ready", every_s=1.0
    )
    assert scheduler.ends(signal.SIGTERM).code == 0
