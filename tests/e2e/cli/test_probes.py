"""`--probes`, and `taskmesh probe`, as a container uses them."""

from __future__ import annotations

import signal

from tests.e2e.cli.shell import Shell
from tests.faults.server import free_port
from tests.support import wait_until


def test_a_worker_and_a_scheduler_are_asked_how_they_are(shell: Shell) -> None:
    shell.write("app.py")
    port, other = free_port(), free_port()
    shell.write("one.toml", f'[worker]\napp = "app:mesh"\nconcurrency = 1\nprobes = {port}\n')
    worker = shell.worker("--config", "one.toml")
    setting = {"TASKMESH_PROBES": str(port)}
    wait_until(lambda: shell.run("probe", code=None, **setting).code == 0, what="the worker is ready")
    assert shell.run("probe", "--live", **setting).out == "ok\n"
    page = f"http://127.0.0.1:{port}/readyz?json"
    # a node that a busy machine keeps from answering makes it not ready for a moment
    asked = wait_until(
        lambda: (told := shell.run("probe", "--url", page, "--json", code=None).json)["ok"] and told
    )
    assert asked == {
        "url": page,
        "status": 200,
        "ok": True,
        "reasons": [],
        "remarks": [],
    }
    refused = shell.run("worker", "app.py", "-c", "1", code=2, **setting)
    assert "probes cannot be served on 127.0.0.1" in refused.err
    assert "Traceback" not in refused.err

    away = f"amqp://127.0.0.1:{free_port()}/shop"
    scheduler = shell.start("scheduler", "--mesh", "shop", "--probes", str(other), "-b", away).until(
        "goes on without it"
    )
    url = f"http://127.0.0.1:{other}"
    wait_until(lambda: shell.run("probe", "--url", f"{url}/readyz", code=None).code == 0, what="it is ready")
    (remark,) = shell.run("probe", "--url", f"{url}/readyz", "--json").json["remarks"]
    assert "connection refused" in remark
    wanted = {"taskmesh_broker_connected 0", "taskmesh_scheduler_ready 1", "taskmesh_nodes_up 1"}
    metrics = wait_until(
        lambda: (
            (told := shell.run("probe", "--url", f"{url}/metrics").out)
            and wanted <= set(told.splitlines())
            and told
        )
    )
    assert "taskmesh_claims_total" not in metrics
    assert scheduler.ends(signal.SIGTERM).code == 0
    assert worker.ends(signal.SIGTERM).code == 0
    gone = shell.run("probe", "--live", code=1, **setting)
    assert "Connection refused" in gone.err


def test_a_mesh_that_runs_here_is_known_though_nobody_names_it(shell: Shell) -> None:
    """By `doctor`; and a queue that a worker serves is known before anything was sent to it."""
    report = shell.run("doctor", "--json", code=3).json
    assert (report["ok"], report["looked_at_nodes"]) == (True, False)
    (said,) = (each for each in report["checks"] if each["check"] == "mesh")
    assert (said["level"], "none is checked" in said["text"]) == ("warn", True)
    assert "give -A" in said["remedy"]
    shell.write("app.py")
    alone = shell.run("doctor", "-A", "app.py", "--json", code=3).json["checks"][-1]
    assert "no mesh; so the exit code is 3" in alone["text"]
    assert "TASKMESH_NODES" in alone["remedy"], "it may be elsewhere, and nobody said so"
    shell.worker("app.py", "-c", "1", "-Q", "io")
    report = shell.run("doctor", "--json").json
    checks = {each["check"]: each for each in report["checks"]}
    assert report["looked_at_nodes"]
    assert checks["mesh"]["text"] == "no app is given; this is mesh shop, the only one that runs here"
    assert "workers" in checks
    assert "has no queue" not in shell.run("queue", "pause", "io", "--mesh", "shop").err
    assert "has no queue 'never' yet" in shell.run("queue", "pause", "never", "--mesh", "shop").err


def test_where_the_probes_are_has_to_be_known(shell: Shell) -> None:
    assert "Set TASKMESH_PROBES" in shell.run("probe", code=2).err
    assert "give --url" in shell.run("probe", "--live", code=2, TASKMESH_PROBES="0").err
    assert "no address of a probe" in shell.run("probe", "--url", "nowhere", code=2).err
    url = "http://127.0.0.1:1/livez"
    assert "more than 0" in shell.run("probe", "--url", url, "--timeout", "0", code=2).err
    assert "give one of" in shell.run("probe", "--live", "--ready", code=2).err
    assert "expected HOST:PORT" in shell.run("probe", code=2, TASKMESH_PROBES="nowhere").err
    assert "Serve /livez" in shell.run("worker", "--help").out
