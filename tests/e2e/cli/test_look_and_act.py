"""The commands that look at a mesh and act on it, beside a worker that serves it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from taskmesh.core import keys, record
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.steps import Session
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.sync_driver import SyncDriver
from taskmesh.queue.enqueue import NewMessage, enqueue
from taskmesh.replication.ask import plain
from tests.e2e.cli.shell import TASKMESH, Shell
from tests.support import wait_until


def test_a_call_and_its_result(served):
    sent = served.run("call", "add", "1", "-3", "--json").json
    assert sent["task"] == "app.add"
    result = served.run("result", sent["id"], "--wait", "90", "--json").json
    assert (result["state"], result["value"], result["worker"]) == ("SUCCESS", -2, "one")
    shown = served.run("result", sent["id"], "--mesh", "shop")
    assert "SUCCESS" in shown.out
    assert "-2" in shown.out


def test_who_waits_in_vain_is_told_to_start_the_app_that_was_given(shell):
    """The mesh may be made in a module that does not know the task."""
    shell.write("shop.py", "from taskmesh import TaskMesh\nmesh = TaskMesh('shop')\n")
    shell.write("bank.py", "from shop import mesh\n@mesh.task\ndef refund(n):\n    return n\n")
    sent = shell.run("call", "refund", "1", "-A", "bank").out.strip()
    for command in (["call", "refund", "1", "-A", "bank"], ["result", sent, "-A", "bank:mesh"]):
        waits = shell.start(*command, "--wait", "90")
        waits.until(f"Start one with: taskmesh worker {command[-1]} -Q default")
        waits.ends(signal.SIGINT)


def test_a_call_that_is_waited_for(served):
    done = served.run("call", "app.add", "--kwargs", '{"x": [1], "y": [2]}', "--wait", "90", "--json").json
    assert done["value"] == [1, 2]
    done = served.run("call", "unsayable", "--wait", "90", "--json").json
    assert (done["value"], done["value_is_repr"]) == ("{1, 2}", True)


def test_a_task_that_fails(served):
    done = served.run("call", "fail", "no such luck", "--wait", "90", "--json", code=1).json
    assert done["error"]["type"] == "ValueError"
    assert done["error"]["text"] == "no such luck"
    assert "raise ValueError(text)" in done["error"]["traceback"]
    assert "no such luck" in served.run("result", done["id"], code=1).out


def test_what_runs_tells_how_far_it_is_and_where(served):
    until = served.folder / "until"
    sent = served.run("call", "copy", str(until)).out.strip()
    try:

        def told():
            return served.run("result", sent, "--json").json

        wait_until(lambda: told().get("progress"), what="it tells")
        found = told()
        assert (found["state"], found["label"], found["worker"]) == ("COPYING", "COPYING", "one")
        assert found["progress"] == {"done": 3, "total": 8, "fraction": 0.375, "note": "c.txt"}
        assert found["meta"] == {"to": str(until), "raw": "b'x'"}
        shown = served.run("result", sent).out
        assert "3 of 8 (38%): c.txt" in shown
        assert "COPYING" in shown
        assert str(until) in shown
    finally:
        until.touch()
    done = served.run("result", sent, "--wait", "90", "--json").json
    assert (done["state"], done["worker"], done["attempt"]) == ("SUCCESS", "one", 1)
    assert "progress" not in done


def test_what_waits_for_its_next_attempt_tells_how_the_last_one_ended(served):
    sent = served.run("call", "reach", "moon").out.strip()
    wait_until(lambda: served.run("result", sent, "--json").json["state"] == "RETRY", what="it waits")
    found = served.run("result", sent, "--json").json
    assert (found["queue"], found["attempt"], found["worker"], found["progress"]) == (
        "default",
        2,
        None,
        None,
    )
    assert found["due"] > found["sent"]
    (attempt,) = found["attempts"]
    assert (attempt["error"], attempt["text"], attempt["worker"]) == (
        "OSError",
        "no way to moon",
        "one",
    )
    shown = served.run("result", sent).out
    assert "no way to moon" in shown
    assert "due" in shown
    served.run("revoke", sent)


def test_a_result_that_is_not_known_or_not_there_in_time(served):
    assert "nothing is known" in served.run("result", "never-sent", code=1).err
    sent = served.run("call", "add", "1", "2", "--queue", "nobody").out.strip()
    late = served.run("result", sent, "--wait", "0.05", "--json", code=1)
    assert late.json["state"] == "PENDING"
    assert "goes on" in late.err
    assert served.run("result", sent, "--json").json["state"] == "PENDING"


def test_status_queues_and_workers(served):
    status = served.run("status", "--json").json
    assert status["mesh"] == "shop"
    assert status["node"]["address"].startswith("unix://")
    assert status["node"]["persistence"] == "append-only file, fsync no"
    assert set(status["totals"]) == {"SUCCESS", "FAILURE", "REVOKED", "EXPIRED", "DEAD"}
    (worker,) = served.run("workers", "--json").json
    assert (worker["name"], worker["state"], worker["queues"], worker["children"]) == (
        "one",
        "live",
        ["default"],
        1,
    )
    queues = {row["queue"]: row for row in served.run("queues", "--json").json}
    assert queues["default"]["workers"] == ["one"]
    shown = served.run("status", TASKMESH_APP="")  # it is the only one that runs
    assert "mesh shop" in shown.err
    assert "one" in shown.out
    assert "default" in shown.out


def test_a_queue_is_paused_and_goes_on(served):
    assert served.run("queue", "pause", "default", "--json").json["changed"]
    assert "already" in served.run("queue", "pause", "default").out
    sent = served.run("call", "add", "1", "2").out.strip()
    rows = {row["queue"]: row for row in served.run("queue", "list", "--json").json}
    assert (rows["default"]["paused"], rows["default"]["ready"]) == (True, 1)
    assert served.run("status", "--json").json["paused"] == ["default"]
    assert "(paused)" in served.run("queues").out
    warned = [check for check in served.run("doctor", "--json").json["checks"] if check["check"] == "queues"]
    assert "default is paused, and 1 wait in it" in warned[0]["text"]
    assert served.run("queue", "resume", "default", "--json").json["changed"]
    assert served.run("result", sent, "--wait", "90", "--json").json["value"] == 3
    assert "was not paused" in served.run("queue", "resume", "default").out


def listed(served: Shell) -> set[str]:
    return {row["queue"] for row in served.run("queue", "list", "--json").json}


def test_queues_that_nobody_uses_are_forgotten(served):
    sent = {
        name: served.run("call", "add", "1", "2", "--queue", name).out.strip() for name in ("old-1", "old-2")
    }
    later = served.run("call", "add", "1", "2", "--queue", "old-3", "--countdown", "600").out.strip()
    refused = served.run("queue", "forget", "old-1", "default", "never", "--json", code=1).json["refused"]
    assert "messages wait" in refused["old-1"]
    assert "worker one serves it" in refused["default"]
    assert "no such queue" in refused["never"]
    served.run("purge", "old-1", "--yes")
    served.run("queue", "pause", "old-1")
    assert "paused" in served.run("queue", "forget", "old-1", code=1).err
    served.run("queue", "resume", "old-1")
    assert served.run("queue", "forget", "old-1").out == "old-1\n"
    assert not {"old-1"} & listed(served)
    assert {"old-2", "old-3", "default"} <= listed(served)
    forgotten = served.run("queue", "forget", "--unused", "--json").json
    assert not forgotten["refused"]
    assert "old-3" in forgotten["forgotten"]
    assert not {"old-2", "default"} & set(forgotten["forgotten"])
    assert served.run("result", later, "--json").json["state"] == "SCHEDULED"
    assert "--unused" in served.run("queue", "forget", code=2).err
    for task_id in (sent["old-2"], later):
        served.run("revoke", task_id)


def test_purge_revokes_what_waits(served):
    sent = served.run("call", "add", "1", "2", "--queue", "purged").out.strip()
    assert "--yes" in served.run("purge", "purged", code=2).err
    assert served.run("purge", "purged", "--yes", "--json").json == {"queue": "purged", "revoked": 1}
    assert served.run("result", sent, "--json", code=1).json["state"] == "REVOKED"
    queues = {row["queue"]: row for row in served.run("queues", "--json").json}
    assert queues["purged"]["ready"] == 0
    nothing = served.run("purge", "purgd", "--yes")
    assert "revoked 0" in nothing.out
    assert "purged" in nothing.err


def test_a_message_that_kills_its_worker_becomes_a_dead_letter_and_can_be_sent_again(served):

    def counted() -> tuple[int, int]:
        """Return how many dead letters the queue has now, and how many it ever had."""
        rows = {row["queue"]: row for row in served.run("queues", "--json").json}
        return rows["default"]["dead"], rows["default"]["totals"]["DEAD"]

    now, ever = counted()
    died = served.run("call", "die", "--wait", "90", "--json", code=1).json
    assert died["state"] == "DEAD"
    assert counted() == (now + 1, ever + 1)
    listed = {row["id"]: row for row in served.run("dead", "list", "--json").json["letters"]}
    assert listed[died["id"]]["task"] == "app.die"
    assert listed[died["id"]]["crashes"] == 3
    story = served.run("dead", "show", died["id"], "--args", "--json").json
    assert (story["reason"], story["arguments"]) == (died["reason"], "")
    again = served.run("dead", "retry", died["id"], "--json").json["sent_again"][died["id"]]
    assert served.run("result", again, "--wait", "90", "--json", code=1).json["state"] == "DEAD"
    assert served.run("dead", "show", again, "--json").json["extras"] == {"retry_of": died["id"]}
    assert "dropped" in served.run("dead", "show", died["id"], code=1).err
    assert counted() == (now + 1, ever + 2), "the first is dead no more"
    assert served.run("dead", "drop", again, "--json").json["dropped"] == [again]
    assert again not in served.run("dead", "list").out
    assert counted() == (now, ever + 2)
    (default,) = (row for row in served.run("status", "--json").json["queues"] if row["queue"] == "default")
    assert default["dead"] == now


@contextmanager
def raw_node(shell: Shell) -> Iterator[tuple[SyncDriver, Session]]:
    """Speak with the node as anybody who reaches it can."""
    address = shell.run("status", "--json").json["node"]["address"]
    prefix = keys.prefix("shop")
    driver = SyncDriver(NodeAddress(address))
    session = Session(prefix, b"", 1024, lambda: int(driver.run(plain(session, b"TIME"))[0]) * 1000)
    session.epoch = driver.run(plain(session, b"GET", keys.epoch(prefix)))
    try:
        yield driver, session
    finally:
        driver.close()


def test_what_cannot_be_verified_is_shown_as_bytes_and_never_sent_again(served):
    forged = b"\x80\x04never to be unpickled"
    with raw_node(served) as (driver, session):
        start, middle, end, names = record.head_parts(
            state=b"P", queue=b"default", channel=b"", function=b"", priority=4, flags=0, result_ttl_s=60
        )
        slot = b"%04x" % slot_of(routing_of("forged"), 1024)
        now_ms = session.now_ms()
        raw = start + slot + middle + b"%012x%012x" % (now_ms, 0) + end + names + forged
        driver.run(enqueue(session, [NewMessage(b"forged", raw, slot, b"default", now_ms)]))
    assert served.run("result", "forged", "--wait", "90", "--json", code=1).json["state"] == "DEAD"
    story = served.run("dead", "show", "forged", "--json").json
    assert story["verified"] == {"message": False, "outcome": True}
    assert (story["task"], bytes.fromhex(story["raw_hex"])) == (None, forged)
    assert forged.hex(" ")[:20] in served.run("dead", "show", "forged").out
    assert "not unpickled" in served.run("dead", "show", "forged", "--args", code=1).err
    assert "cannot be verified" in served.run("dead", "retry", "forged", code=1).err
    assert served.run("dead", "drop", "forged").out == "dropped 1 dead letter\n"


def test_a_function_sent_by_value_is_sent_again_with_it(served):
    """It is stored apart, and must not go with the dead letter."""
    program = """
        from taskmesh import TaskMesh
        mesh = TaskMesh("shop")
        print(mesh.submit(lambda text: int(text), "no number").id)
        mesh.close()
    """
    path = served.write("program.py", program)
    run = subprocess.run(
        [TASKMESH[0], str(path)],
        cwd=served.folder,
        env=served.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    failed = run.stdout.strip()
    assert served.run("result", failed, "--wait", "90", "--json", code=1).json["state"] == "FAILURE"
    again = served.run("dead", "retry", failed, "--json").json["sent_again"][failed]
    error = served.run("result", again, "--wait", "90", "--json", code=1).json["error"]
    assert (error["type"], "no number" in error["text"]) == ("ValueError", True)


KEYED = """
    from app import mesh
    fail = mesh.tasks["app.fail"]
    print(fail.apply_async(("once",), **{options}).id)
    mesh.close()
"""


def keyed(served: Shell, **options: object) -> str:
    """Send a message that fails, with keys; return its id."""
    path = served.write("keyed.py", KEYED.format(options=options))
    command = [TASKMESH[0], str(path)]
    run = subprocess.run(
        command, cwd=served.folder, env=served.environ, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_what_is_sent_again_has_the_keys_of_its_message(served):
    failed = keyed(served, idempotency_key="order-7")
    served.run("result", failed, "--wait", "90", code=1)
    assert keyed(served, idempotency_key="order-7") == failed
    again = served.run("dead", "retry", failed, "--json").json["sent_again"][failed]
    assert keyed(served, idempotency_key="order-7") == again
    assert f"message {again} stands for it" in served.run("dead", "retry", failed, code=1).err

    failed = keyed(served, unique="one", sequence_key="one")
    served.run("result", failed, "--wait", "90", code=1)
    living = keyed(served, unique="one", queue="nobody")
    assert f"message {living} stands for it" in served.run("dead", "retry", failed, code=1).err
    served.run("revoke", living)
    before = keyed(served, sequence_key="one", queue="nobody")
    done = served.run("dead", "retry", failed)
    assert done.out.startswith(f"{failed} -> ")
    again = done.out.split()[2]
    assert keyed(served, unique="one") == again
    assert served.run("result", again, "--json").json["state"] == "PENDING"
    served.run("revoke", before)
    assert served.run("result", again, "--wait", "90", "--json", code=1).json["state"] == "FAILURE"


def test_dead_commands_want_names_or_all(served):
    assert "--all" in served.run("dead", "retry", code=2).err
    assert "nothing is known of it" in served.run("dead", "drop", "never-sent", code=1).err


def test_doctor_finds_all_well(served):
    checks = {
        "python",
        "server binary",
        "key",
        "node",
        "server",
        "persistence",
        "clock",
        "key accepted",
        "workers",
    }

    def all_is_well() -> bool:
        """On a machine that stands still now and then, one look may find the node or the worker late."""
        report = served.run("doctor", "--json", code=None).json
        well = {check["check"] for check in report["checks"] if check["level"] == "ok"}
        return report["ok"] and checks <= well

    wait_until(all_is_well, what="doctor finds all well")
    shown = served.run("doctor", "--mesh", "shop")
    assert "key accepted" in shown.out


def test_a_reader_that_has_gone_is_no_error(served):
    run = subprocess.Popen(
        [*TASKMESH, "config"],
        cwd=served.folder,
        env=served.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run.stdout.close()
    assert run.stderr.read() == ""
    run.stderr.close()
    assert run.wait(90) == 0


def test_a_mesh_that_is_misspelled_is_not_made(served):
    refused = served.run("queues", "--mesh", "shpo", code=1)
    assert "nothing was ever sent to it" in refused.err
    assert "shop" in refused.err
    assert not list((served.root / "state").glob("*/shpo"))


def test_what_an_app_prints_does_not_spoil_json(served):
    served.write("loud.py", 'print("loud")\nfrom taskmesh import TaskMesh\nmesh = TaskMesh("shop")\n')
    done = served.run("queues", "-A", "loud:mesh", "--json")
    assert isinstance(json.loads(done.out), list)
    assert "loud" in done.err
