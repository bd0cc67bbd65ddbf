"""The commands that start and stop things: worker, up, down; and a rotation of the key."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.cli.shell import APP
from tests.integration.embedded.processes import is_alive
from tests.support import wait_until

OTHER_APP = """
    from taskmesh import TaskMesh
    mesh = TaskMesh("shop")

    @mesh.task
    def mul(x, y):
        return x * y
"""


def test_a_burst_works_the_queue_off_and_says_how_it_went(shell):
    shell.write("src/app.py")
    sent = shell.run("call", "-A", "src/app.py:mesh", "add", "1", "2").out.strip()
    ended = shell.run(
        "worker", "src/app.py:mesh", "--burst", "-c", "1", "-n", "b", "-l", "warning", "--json"
    ).json
    assert (ended["mesh"], ended["app"], ended["name"], ended["exit_code"]) == ("shop", "app:mesh", "b", 0)
    assert shell.run("result", sent, "--mesh", "shop", "--json").json["value"] == 3


def test_a_worker_by_a_file_of_options(shell):
    shell.write("app.py")
    shell.write(
        "workers/mail.toml", '[worker]\napp = "app:mesh"\npath = [".."]\nqueues = ["mail"]\nconcurrency = 1\n'
    )
    shell.worker("--config", "workers/mail.toml", "-n", "postman")
    (worker,) = shell.run("workers", "--mesh", "shop", "--json").json
    assert (worker["name"], worker["queues"], worker["children"]) == ("postman", ["mail"], 1)


def test_a_worker_of_by_value_tasks_stops_by_a_signal(shell):
    worker = shell.worker("--mesh", "plain", "-c", "1")
    (listed,) = shell.run("workers", "--mesh", "plain", "--json").json
    assert listed["pid"] == worker.pid
    ended = worker.ends(signal.SIGTERM)
    assert ended.code == 0
    assert shell.run("workers", "--mesh", "plain", "--json").json == []


def test_up_ends_all_that_it_started(shell):
    shell.write("app.py")
    up = shell.start("up", "app.py", "-c", "1", "--json").until("1 process")
    assert shell.run("call", "-A", "app.py", "add", "2", "3", "--wait", "90", "--json").json["value"] == 5
    ended = up.ends(signal.SIGINT)
    assert (ended.code, ended.json["node_stopped"]) == (0, True)
    assert shell.run("down").out == "no embedded node runs\n"


def test_up_leaves_a_node_alone_that_ran_before(shell):
    shell.write("app.py")
    shell.run("call", "-A", "app.py", "add", "2", "3")
    up = shell.start("up", "app.py", "-c", "1").until("1 process")
    assert up.ends(signal.SIGTERM).code == 0
    assert shell.run("down", "--json").json == {
        "stopped": [{"mesh": "shop", "nodes": 1, "clients": 0}],
        "left": [],
    }


def test_up_makes_a_mesh_of_several_nodes_and_down_ends_them_all(shell):
    shell.write("app.py")
    up = shell.start("up", "app.py", "-c", "1", "--nodes", "3", "--json").until("1 process")
    assert shell.run("call", "-A", "app.py", "add", "2", "3", "--wait", "90", "--json").json["value"] == 5
    members = {
        each["id"]: each["address"] for each in shell.run("nodes", "--mesh", "shop", "--json").json["nodes"]
    }
    assert ["node-2" in members["n2"], "node-3" in members["n3"], "node-" in members["n1"]] == [
        True,
        True,
        False,
    ]
    stopped = shell.run("down", "--mesh", "shop", "--json").json["stopped"]
    assert [(fact["mesh"], fact["nodes"]) for fact in stopped] == [("shop", 3)]
    up.ends(signal.SIGTERM)
    shell.run("down", "--all")


def test_a_mesh_of_several_comes_back_by_itself_when_all_of_its_nodes_were_stopped(shell):
    """All servers are other processes then, which no view knows, and whoever could admit them must first join."""
    shell.write("app.py")
    sent = shell.run("call", "-A", "app.py", "add", "2", "3", TASKMESH_EMBEDDED_NODES="3").out.strip()
    assert "stopped the 3 embedded nodes" in shell.run("down", "-A", "app.py").out
    shell.run("worker", "app.py", "--burst", "-c", "1")
    assert shell.run("result", sent, "-A", "app.py", "--json").json["value"] == 5

    def all_take_part() -> bool:
        """A server that stood still while the worker was there is taken in by the next one."""
        told = shell.run("nodes", "-A", "app.py", "--json").json
        assert told["view"]["number"] > 1
        if {node["state"] for node in told["nodes"]} == {"up"}:
            return True
        shell.run("worker", "app.py", "--burst", "-c", "1")
        return False

    wait_until(all_take_part)
    shell.run("down", "--all")


def test_up_refuses_another_number_of_nodes_than_the_mesh_was_made_with(shell):
    shell.write("app.py")
    shell.run("call", "-A", "app.py", "add", "2", "3", TASKMESH_EMBEDDED_NODES="3")
    refused = shell.run("up", "app.py", "-c", "1", "--nodes", "1", code=2).err
    assert "was made with 3 embedded nodes on this machine, and 1 is asked for" in refused
    assert "stopped the 3 embedded nodes of mesh shop; its data stays" in shell.run("down").out


@pytest.mark.parametrize(
    ("settings", "has"),
    [("embedded_nodes=2", "has 2 nodes;"), ("nodes=['redis://127.0.0.1:1']", "has 1 node of its own;")],
)
def test_up_refuses_a_number_of_nodes_when_the_app_says_another(shell, settings, has):
    shell.write("app.py", APP.replace('TaskMesh("shop")', f'TaskMesh("shop", {settings})'))
    refused = shell.run("up", "app.py", "-c", "1", "--nodes", "3", code=2).err
    assert "\n".join(refused.splitlines()[-1:]).startswith("taskmesh up: --nodes 3: the app says otherwise")
    assert has in refused


def test_a_look_at_a_node_that_had_ended_starts_it_as_it_was(shell):
    """A result can be had after the node ended for want of use, and its workers are not shut out afterwards."""
    shell.write("app.py", APP.replace('TaskMesh("shop")', 'TaskMesh("shop", durability="memory")'))
    shell.run("call", "-A", "app.py", "add", "2", "3")
    assert "started" not in shell.run("queues", "--mesh", "shop").err
    shell.run("down", "-A", "app.py")
    looked = shell.run("queues", "--mesh", "shop", "--json")
    assert looked.json == []
    assert "started the embedded node of mesh shop" in looked.err
    assert "durability=memory" in looked.err
    shell.run("call", "-A", "app.py", "add", "2", "3")


def test_down_leaves_alone_what_others_use(shell):
    worker = shell.worker("--mesh", "used", "-c", "1")
    shell.write("app.py")
    shell.run("call", "-A", "app.py", "add", "2", "3")
    done = shell.run("down", "--json").json
    assert [node["mesh"] for node in done["stopped"]] == ["shop"]
    assert [node["mesh"] for node in done["left"]] == ["used"]
    ended = shell.run("down", "--mesh", "used")
    assert "stopped the embedded node of mesh used while" in ended.out
    assert "starts it again when it is needed: end `taskmesh up`, workers" in ended.err
    worker.ends(signal.SIGTERM)
    assert "mesh used" in shell.run("down", "--mesh", "used").out
    assert "no embedded node runs for mesh used" in shell.run("down", "--mesh", "used").out


def test_a_worker_names_its_tasks_and_those_whose_queue_it_does_not_serve(shell):
    shell.write(
        "routed.py",
        """
        from taskmesh import TaskMesh
        mesh = TaskMesh("shop", routes={"*.slow": "night"})
        @mesh.task
        def add(): pass
        @mesh.task(queue="mail")
        def send(): pass
        @mesh.task
        def slow(): pass
        """,
    )
    worker = shell.start("worker", "routed.py", "-c", "1", "-Q", "default,night")
    worker.until(
        "tasks 3: routed.add, routed.send, routed.slow; to queues that it does not serve go routed.send (mail)"
    )
    assert "killed without their `finally`" in worker.ends(signal.SIGTERM).err


def test_the_data_of_one_mesh_is_removed_when_that_is_asked_for(shell):
    shell.write("app.py")
    sent = shell.run("call", "-A", "app.py", "add", "2", "3").out.strip()
    assert "for one mesh" in shell.run("down", "--delete", "--yes", code=2).err
    assert "there is no terminal" in shell.run("down", "--delete", "-A", "app.py", code=2).err
    assert shell.run("result", sent, "-A", "app.py").out
    assert shell.run("down", "--delete", "--mesh", "shop", "--yes", "--json").json == {"deleted": ["shop"]}
    assert "no data here (meshes that have: none)" in shell.run("down", "--delete", "--mesh", "shop").out
    assert "nothing is known" in shell.run("result", sent, "-A", "app.py", code=1).err


def test_the_data_of_a_mesh_in_use_is_left_alone(shell):
    worker = shell.worker("--mesh", "used", "-c", "1")
    refused = shell.run("down", "--delete", "--mesh", "used", "--yes", code=1).err
    assert "workers --mesh used --stop-all" in refused
    assert shell.run("workers", "--mesh", "used", "--json").json
    worker.ends(signal.SIGTERM)


def test_other_code_under_the_same_name_is_told_of(shell):
    shell.write("one/app.py")
    shell.write("two/app.py", OTHER_APP)
    shell.worker("one/app.py", "-c", "1", "-n", "first")
    second = shell.worker("two/app.py", "-c", "1", "-n", "second")
    second.until("other code serves the same queue (default) of this mesh: worker first")
    report = shell.run("doctor", "--mesh", "shop", "--json", code=1).json
    (failed,) = [check for check in report["checks"] if check["level"] == "fail"]
    assert failed["check"] == "builds"
    assert "no task in common" in failed["text"]


def test_ctrl_c_is_130(shell):
    shell.write("app.py")
    shell.write("slow.py", "import signal, sys\nprint('importing', flush=True)\nsignal.pause()\n")
    status = shell.start("status", "-A", "slow:mesh").until("importing")
    ended = status.ends(signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_a_key_is_rotated_in_three_steps(shell):
    shell.write("app.py")
    app = ("-A", "app.py")
    shell.run("call", *app, "add", "1", "2")
    old = shell.run("key", "id", "--json").json["active"]
    new = shell.run("key", "rotate", *app, "--json").json["accepted_by_mesh"][1]
    assert shell.run("call", *app, "add", "1", "2").code == 0
    shell.run("key", "rotate", "--activate", new, *app)
    assert shell.run("key", "id", "--json").json["active"] == new
    # what was signed with the old key is still run
    shell.run("worker", "app.py", "--burst", "-c", "1")
    assert shell.run("status", *app, "--json").json["totals"]["SUCCESS"] == 2
    retired = shell.run("key", "retire", old, *app, "--json").json
    assert retired["accepted_by_mesh"] == [new]
    assert {row["id"]: row["state"] for row in retired["keys"]} == {new: "active", old: "retired"}


@pytest.mark.parametrize("with_data", [True, False])
def test_a_stale_socket_of_the_embedded_node_does_no_harm(shell, with_data):
    """Guardian and server are killed at once, as by a crash of the machine: their socket stays."""
    shell.write("app.py")
    shell.run("call", "-A", "app.py", "add", "1", "2")
    (card,) = (shell.root / "state").glob("*/shop/card")
    facts = dict(line.split("=", 1) for line in card.read_text().splitlines())
    pids = [int(facts["guardian_pid"]), int(facts["server_pid"])]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    report = shell.run("doctor", "-A", "app.py", "--json", code=3).json
    (found,) = [check for check in report["checks"] if check["check"] == "embedded node"]
    assert (found["level"], "stale" in found["text"]) == ("warn", True)
    if with_data:
        assert shell.run("status", "-A", "app.py", "--json").json["ready"] == 1
    else:
        assert shell.run("down", "-A", "app.py").out == "no embedded node runs for mesh shop\n"
