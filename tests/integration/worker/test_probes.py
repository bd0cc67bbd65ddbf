"""Probes and metrics of real workers, in trouble of the real kind."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from taskmesh.cli.probing import ask
from taskmesh.core.version import VERSION
from taskmesh.metrics.bounded import NAMES_MAX, OTHER
from taskmesh.metrics.catalogue import CATALOGUE
from tests.apps import worker_tasks
from tests.faults.mesh_people import Scheduler
from tests.faults.mesh_scene import MeshScene
from tests.faults.scene import PATIENCE_S, Scene, Worker
from tests.faults.server import Server
from tests.nodes import Nodes
from tests.support import wait_until

ANY = "127.0.0.1:0"
#: How long an answer may take at the very most, with nodes that say nothing: far more than it does.
SOON_S = 20.0
Found = dict[tuple[str, ...], float]


def url(worker: Worker) -> str:
    """Return where a worker serves its probes, as its log says."""
    worker.says(f"probes of worker {worker.name}: ")
    (found,) = set(re.findall(r"probes of worker \S+: (http://\S+)", worker.said()))
    return str(found)


def probe(worker: Worker, path: str) -> tuple[int, str]:
    return tuple(ask(url(worker) + path, SOON_S))


def until(worker: Worker, path: str, status: int, text: str = "") -> str:
    """Wait until a probe answers so."""

    def answer() -> str:
        told = ask(url(worker) + path, SOON_S)
        return told.text if told.status == status and text in told.text else ""

    return wait_until(answer, PATIENCE_S, f"{path} is {status} {text}; {worker.said()}")


def metrics(worker: Worker) -> Found:
    """Return what a worker's metrics say: by the name and the values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in read_text(probe(worker, "/metrics")[1])
        for sample in family.samples
    }


def until_metric(worker: Worker, value: float, *at: str) -> Found:
    """Wait until a metric has a value, and return all."""

    def found() -> Found | None:
        all_of_it = metrics(worker)
        return all_of_it if all_of_it.get(at) == value else None

    return wait_until(found, PATIENCE_S, f"{at} is {value}")


def until_all(worker: Worker, wanted: Found) -> Found:
    """Wait until one page says all of this, and return all that it says.

    What the nodes tell is missing in a page, or older than the rest, while a busy machine keeps them from answering.
    """

    def found() -> Found | None:
        told = metrics(worker)
        return told if wanted.items() <= told.items() else None

    return wait_until(found, PATIENCE_S, f"{wanted}; {worker.said()}")


def children(worker: Worker) -> list[psutil.Process]:
    return psutil.Process(worker.template()).children()


def test_what_children_have_counted_outlasts_them_and_what_killed_them_is_named(scene: Scene) -> None:
    worker = scene.worker(2, probes=ANY, log_level="INFO")
    assert until(worker, "/readyz", 200) == "ok"
    scene.send_many(worker_tasks.add, [(i, 1) for i in range(40)], [i + 1 for i in range(40)])
    scene.check()
    add = "tests.apps.worker_tasks.add"
    before = until_all(
        worker,
        {
            ("taskmesh_commits_total", "success"): 40,
            ("taskmesh_task_runs_total", add, "success"): 40,
            ("taskmesh_task_run_seconds_count", add): 40,
            ("taskmesh_task_wait_seconds_count", add): 40,
            ("taskmesh_claimed_messages_total",): 40,
            ("taskmesh_messages_ended_total", "default", "success"): 40,
            # the first dead letter is to be an increase
            ("taskmesh_messages_ended_total", "default", "dead"): 0,
            ("taskmesh_nodes_up",): 1,
            ("taskmesh_workers", "live"): 1,
        },
    )
    for child in children(worker):
        child.send_signal(signal.SIGKILL)
    after = until_metric(worker, 4, "taskmesh_worker_children_started_total")
    gone_back = {
        at for at, value in before.items() if at[0].startswith("taskmesh_task") and after.get(at, 0) < value
    }
    assert not gone_back
    assert after["taskmesh_commits_total", "success"] == 40
    assert after["taskmesh_worker_children_died_total",] == 2
    scene.task(worker_tasks.leave).delay(str(scene.folder), 9).get(PATIENCE_S, propagate=False)
    found = until_metric(worker, 3, "taskmesh_task_crashes_total", "tests.apps.worker_tasks.leave")
    assert found["taskmesh_task_run_seconds_count", add] == 40
    ended = ("taskmesh_messages_ended_total", "default", "dead")
    until_all(worker, {("taskmesh_dead_letters",): 1, ended: 1})
    until(worker, "/readyz", 200)


def test_what_stands_where_is_told_and_no_metric_of_the_catalogue_is_forgotten(scene: Scene) -> None:
    worker = scene.worker(2, probes=ANY, log_level="INFO")
    scene.mesh.pause_queue("held")
    add = scene.task(worker_tasks.add)
    for _ in range(3):
        add.apply_async((1, 2), queue="held", sequence_key="one-by-one")
    scene.mesh.send_task("nobody.knows.this")
    running = scene.send(worker_tasks.hold, str(scene.folder), "told", 1, expect=1)
    scene.started("told")
    wanted = {
        ("taskmesh_parked",): 1,
        ("taskmesh_delayed",): 0,
        ("taskmesh_running",): 1,
        ("taskmesh_worker_children", "busy"): 1,
        ("taskmesh_worker_children", "idle"): 1,
        ("taskmesh_worker_children_wanted",): 2,
        ("taskmesh_queue_idle_children", "default"): 1,
        ("taskmesh_queue_ready", "held"): 1,
        ("taskmesh_queue_blocked", "held"): 2,
        ("taskmesh_queue_paused", "held"): 1,
        ("taskmesh_worker_info", worker.name, scene.name, VERSION): 1,
        ("taskmesh_worker_ready",): 1,
        ("taskmesh_leader_up",): 1,
        ("taskmesh_leads",): 1,
    }
    found = until_all(worker, wanted)
    assert ("taskmesh_queue_paused", "default") not in found
    for name in ("taskmesh_worker_memory_bytes", "process_resident_memory_bytes", "process_open_fds"):
        assert 0 < found[name,] < 1e11
    assert found["taskmesh_worker_memory_bytes",] > 2 * found["process_resident_memory_bytes",]
    assert abs(time.time() - found["process_start_time_seconds",]) < 3600
    # what there is only with a broker, a limit, several nodes, a `taskmesh scheduler`, or a crash
    elsewhere = {
        "taskmesh_broker_connected",
        "taskmesh_node_memory_limit_bytes",
        "taskmesh_copies_missing",
        "taskmesh_scheduler_info",
        "taskmesh_scheduler_ready",
        "taskmesh_task_crashes_total",
        "taskmesh_task_run_seconds",
        "process_max_fds",
    }
    scene.let("told")
    assert running.get(PATIENCE_S) == 1
    until_metric(worker, 1, "taskmesh_messages_ended_total", "default", "success")
    # in one page, when the nodes have answered all that it asks
    wait_until(
        lambda: set(CATALOGUE) - {at[0].removesuffix("_count") for at in metrics(worker)} <= elsewhere,
        PATIENCE_S,
        "all of the catalogue is told",
    )


def test_a_dead_node_makes_a_worker_not_ready_and_never_dead(
    make_scene: Callable[..., Scene], server: Server
) -> None:
    scene = make_scene("probed", server.url)
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    until(worker, "/readyz", 200)
    until_metric(worker, 0, "taskmesh_queue_ready", "default")
    server.kill()
    until(worker, "/readyz", 503, "no node answers, for ")
    assert probe(worker, "/livez") == (200, "ok")
    found = until_metric(worker, 0, "taskmesh_nodes_up")
    assert found["taskmesh_nodes",] == 1
    assert not [
        at for at in found if at[0].startswith(("taskmesh_queue", "taskmesh_leader", "taskmesh_dead"))
    ]
    assert found["taskmesh_worker_registered",] == 0
    server.start()
    until(worker, "/readyz", 200)
    until_metric(worker, 1, "taskmesh_nodes_up")


def test_a_node_that_stands_still_holds_up_no_scrape(
    make_scene: Callable[..., Scene], server: Server
) -> None:
    scene = make_scene("still", server.url)
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    until(worker, "/readyz", 200)
    server.send(signal.SIGSTOP)
    try:
        pages: set[float] = set()

        def another() -> bool:
            found = until_metric(worker, 0, "taskmesh_nodes_up")
            assert found["taskmesh_worker_children", "idle"] == 1
            pages.add(found["process_cpu_seconds_total",] + found["taskmesh_worker_turn_age_seconds",])
            return len(pages) == 3

        wait_until(another, PATIENCE_S, "three pages were put together")
        assert probe(worker, "/livez") == (200, "ok")
    finally:
        server.send(signal.SIGCONT)
    until_metric(worker, 1, "taskmesh_nodes_up")


def test_a_child_or_template_that_hangs_is_shown_and_makes_no_worker_dead(scene: Scene) -> None:
    worker = scene.worker(2, probes=ANY, log_level="INFO")
    until(worker, "/readyz", 200)
    one, other = children(worker)
    one.send_signal(signal.SIGSTOP)
    until_metric(worker, 1, "taskmesh_worker_children", "stopped")
    until(worker, "/readyz", 200, "ok")
    other.send_signal(signal.SIGSTOP)
    until(worker, "/readyz", 503, "all children stand still")
    assert probe(worker, "/livez") == (200, "ok")
    for child in (one, other):
        child.send_signal(signal.SIGCONT)
    until(worker, "/readyz", 200)
    # and without the template none can be started
    template = psutil.Process(worker.template())
    template.send_signal(signal.SIGSTOP)
    until(worker, "/readyz", 503, f"the template (process {template.pid}) stands still")
    template.send_signal(signal.SIGCONT)
    until(worker, "/readyz", 200)


def test_an_app_that_cannot_be_imported_is_the_reason(scene: Scene, tmp_path: Path) -> None:
    app = tmp_path / "broken_probed.py"
    app.write_text("import nothing_of_that_name\n")
    worker = scene.worker(
        1,
        probes=ANY,
        log_level="INFO",
        app="broken_probed:mesh",
        path=(str(tmp_path),),
        reload=True,
        reload_dirs=(str(tmp_path),),
        ready=False,
    )
    text = until(worker, "/readyz", 503, "the worker waits for a change of its sources")
    assert "No module named 'nothing_of_that_name'" in text
    assert probe(worker, "/livez") == (200, "ok")
    app.write_text(f"from taskmesh import TaskMesh\nmesh = TaskMesh({scene.name!r})\n")
    until(worker, "/readyz", 200)


def test_a_worker_that_stops_is_alive_and_not_ready(scene: Scene) -> None:
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    held = scene.send(worker_tasks.hold, str(scene.folder), "stopping", 7, expect=7)
    scene.started("stopping")
    worker.send(signal.SIGTERM)
    until(worker, "/readyz", 503, "told to stop")
    assert probe(worker, "/livez") == (200, "ok")
    scene.let("stopping")
    assert worker.exit_code() == 0
    assert held.get(PATIENCE_S) == 7


def test_leases_that_were_lost_are_counted_though_another_life_begins(
    make_scene: Callable[..., Scene], server: Server
) -> None:
    scene = make_scene("lost", server.url, lease_ttl=1.0)
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    held = scene.send(worker_tasks.hold, str(scene.folder), "lost", 5, expect=5)
    child = scene.started("lost")
    worker.signal_all(signal.SIGSTOP)
    other = scene.worker(1)
    scene.started("lost", 2)
    scene.let("lost")
    assert held.get(PATIENCE_S) == 5
    other.end()  # or it might take the next life for dead as well
    os.kill(child, signal.SIGCONT)  # it alone: its supervisor would end it
    worker.says("was refused: its lease had been lost")
    worker.signal_all(signal.SIGCONT)
    worker.says("it begins anew")
    until_metric(worker, 2, "taskmesh_worker_children_started_total")
    until(worker, "/readyz", 200)
    assert metrics(worker)["taskmesh_leases_lost_total",] == 1


def test_ten_thousand_queues_make_no_more_series_than_a_hundred(scene: Scene) -> None:
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    names = [f"queue-{at}" for at in range(10_000)]
    scene.node.sadd(f"{scene.prefix}queues", *names)
    scene.node.hset(f"{scene.prefix}stats", mapping={f"{name}:K": 1 for name in names})
    for name in names[-200:]:
        scene.mesh.task(name="probed.wait", queue=name)(print).delay()

    def total(found: Found, metric: str) -> float:
        return sum(value for at, value in found.items() if at[0] == metric)

    def complete() -> Found | None:
        found = metrics(worker)
        is_looked_at = ("taskmesh_queue_oldest_age_seconds", OTHER) in found
        return found if is_looked_at and total(found, "taskmesh_queue_ready") == 200 else None

    found = wait_until(complete, what="all queues have been looked at, since all was sent")
    queues = {at[1] for at in found if at[0] == "taskmesh_queue_ready"}
    assert len(queues) == NAMES_MAX + 1
    assert {"default", OTHER} < queues
    assert len(found) < 20 * NAMES_MAX
    assert total(found, "taskmesh_messages_ended_total") == 10_000


@pytest.mark.parametrize("pool", ["thread:4", "async:4"])
def test_pools_that_run_many_at_once_count_too(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,), probes=ANY, log_level="INFO")
    scene.send_many(worker_tasks.add, [(i, 1) for i in range(30)], [i + 1 for i in range(30)])
    scene.check()
    found = until_metric(worker, 30, "taskmesh_commits_total", "success")
    assert found["taskmesh_task_run_seconds_count", "tests.apps.worker_tasks.add"] == 30


def test_of_several_nodes_the_one_that_is_dead_is_named(
    make_mesh_scene: Callable[..., MeshScene], make_nodes: Callable[..., Nodes]
) -> None:
    """A worker goes on with the others, so it stays ready."""
    nodes = make_nodes(3)
    scene = make_mesh_scene(nodes)
    worker = scene.worker(1, probes=ANY, log_level="INFO")
    until(worker, "/readyz", 200)
    whole = until_all(
        worker,
        {
            ("taskmesh_leader_up",): 1,
            ("taskmesh_nodes",): 3,
            ("taskmesh_nodes_up",): 3,
            ("taskmesh_copies_missing",): 0,
        },
    )
    nodes.kill(2)
    dead = nodes.urls[2].rstrip("/")
    found = until_metric(worker, 2, "taskmesh_nodes_up")
    assert [
        value for at, value in found.items() if at[0] == "taskmesh_node_up" and at[1].startswith(dead)
    ] == [0]
    scene.without(2)
    wait_until(
        lambda: metrics(worker).get(("taskmesh_view_epoch",), 0) > whole["taskmesh_view_epoch",],
        PATIENCE_S,
        "the worker goes by the next view",
    )
    until_all(
        worker,
        {
            ("taskmesh_copies_missing",): scene.view().slots,
            ("taskmesh_nodes",): 3,
            ("taskmesh_nodes_up",): 2,
        },
    )
    until(worker, "/readyz", 200)
    assert probe(worker, "/livez") == (200, "ok")


def test_where_too_few_nodes_answer_worker_and_scheduler_are_not_ready_and_never_dead(
    make_mesh_scene: Callable[..., MeshScene], make_nodes: Callable[..., Nodes]
) -> None:
    """Two of three stand still, and no view can do without them: what is sent is refused. Acceptors are elsewhere."""
    nodes, acceptors = make_nodes(3), make_nodes(1)
    scene = make_mesh_scene(nodes, acceptors=acceptors.urls[0], probes=ANY)
    scheduler = Scheduler(scene, "s1")
    try:
        worker = scene.worker(1, log_level="INFO")
        found = re.compile(r"probes of scheduler s1: (http://\S+)")
        wait_until(lambda: found.search(scheduler.log.read_text()), PATIENCE_S, "the scheduler has probes")
        places = [url(worker), found.findall(scheduler.log.read_text())[0]]

        def both(page: str, status: int, text: str = "") -> bool:
            told = [ask(place + page, SOON_S) for place in places]
            return all(each.status == status and text in each.text for each in told)

        wait_until(lambda: both("/readyz", 200), PATIENCE_S, "both are ready", every_s=0.2)
        nodes.stop(1)
        nodes.stop(2)
        wait_until(
            lambda: both("/readyz", 503, "slots cannot be taken, for "), PATIENCE_S, "neither is", every_s=0.2
        )
        assert both("/livez", 200)
        nodes.go_on(1)
        nodes.go_on(2)
        wait_until(lambda: both("/readyz", 200), PATIENCE_S, "both are again", every_s=0.2)
    finally:
        scheduler.end()
