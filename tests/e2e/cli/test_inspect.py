"""`taskmesh inspect` beside a worker that serves the mesh."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.cli.shell import Shell
from tests.support import wait_until

APP = """
    import os, time
    from taskmesh import TaskMesh

    mesh = TaskMesh("shop")

    @mesh.task
    def hold(path):
        while not os.path.exists(path):
            time.sleep(0.01)
"""
LIMITED = """
    from taskmesh import TaskMesh

    mesh = TaskMesh("shop")

    @mesh.task(rate_limit="1/h")
    def seldom():
        return 1
"""


def test_a_look_at_a_worker_and_what_it_runs(shell: Shell):
    shell.write("app.py", APP)
    shell.environ["TASKMESH_APP"] = "app.py"
    assert "no workers" in shell.run("inspect", "ping", code=1).out
    assert "no workers" in shell.run("inspect", "active").out
    worker = shell.worker("-c", "1", "-n", "one", "-Q", "default=3,mail")
    sent = shell.run("call", "hold", str(shell.root / "let")).out.strip()
    wait_until(lambda: shell.run("inspect", "active", "--json").json["one"], what="it runs")
    (row,) = shell.run("inspect", "active", "--worker", "one", "--json").json["one"]
    assert (row["id"], row["task"], row["queue"]) == (sent, "app.hold", "default")
    shown = shell.run("inspect", "active").out
    assert sent in shown
    assert "app.hold" in shown
    assert "no worker has claimed anything" in shell.run("inspect", "reserved").out
    assert shell.run("inspect", "reserved", "--json").json == {"one": []}

    stats = shell.run("inspect", "stats", "--json").json["one"]
    assert (stats["strategy"], stats["weights"], stats["queues"]) == (
        "weighted",
        {"default": 3},
        ["default", "mail"],
    )
    assert "default=3, mail" in shell.run("inspect", "stats").out
    assert shell.run("inspect", "registered", "--json").json == {"one": ["app.hold"]}
    assert "app.hold" in shell.run("inspect", "registered").out
    assert shell.run("inspect", "ping", "--json").json["one"]["ok"] == "pong"
    assert "pong" in shell.run("inspect", "ping").out
    assert "has no worker 'two'; it has one" in shell.run("inspect", "ping", "--worker", "two", code=2).err

    assert "nothing waits" in shell.run("inspect", "scheduled").out
    (shell.root / "let").touch()
    shell.run("result", sent, "--wait", "90")
    assert "nothing runs" in wait_until(
        lambda: (out := shell.run("inspect", "active").out) and "nothing runs" in out and out
    )
    worker.ends(15)


def test_what_waits_for_its_time(served: Shell):
    """Sent by a program: the shell's `call` sends for now."""
    program = "from app import add\nfor at in range(3): print(add.apply_async((1, 2), countdown=600 + at).id)"
    ids = subprocess.run(
        [sys.executable, "-c", program],
        cwd=served.folder,
        env=served.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    rows = served.run("inspect", "scheduled", "--json").json["node"]
    assert [row["id"] for row in rows] == ids
    assert {row["task"] for row in rows} == {"app.add"}
    assert {row["reason"] for row in rows} == {"time"}
    assert served.run("result", ids[0], "--json").json["rate_limited"] is False
    paged = served.run("inspect", "scheduled", "--limit", "2")
    assert ids[1] in paged.out
    assert ids[2] not in paged.out
    assert "--start 2" in paged.err
    assert ids[2] in served.run("inspect", "scheduled", "--start", "2").out


def test_what_a_rate_limit_holds_back_says_so(shell: Shell):
    shell.write("app.py", LIMITED)
    shell.environ["TASKMESH_APP"] = "app.py"
    shell.worker("-c", "1")
    shell.run("call", "app.seldom", "--wait", "120")
    waits = shell.run("call", "app.seldom", "--json").json["id"]
    wait_until(lambda: shell.run("status", "--json").json["delayed"] == 1, what="it is put back")
    (row,) = shell.run("inspect", "scheduled", "--json").json["node"]
    assert (row["id"], row["reason"]) == (waits, "rate limit")
    assert "rate limit" in shell.run("inspect", "scheduled").out
    assert shell.run("result", waits, "--json").json["rate_limited"] is True
    assert "the rate limit of its task" in " ".join(shell.run("result", waits).out.split())
