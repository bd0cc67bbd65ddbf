"""Every metric: what `docs/guides/metrics.md` lists, and what is served and nothing besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
WORKER, MESH, PROCESS = "worker", "mesh", "process"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As it is served, with its unit and, of a counter, `_total`.
        kind: `COUNTER`, `GAUGE` or `HISTOGRAM`.
        scope: Of what it speaks: `WORKER`, this one and its children; `MESH`, the same wherever it is asked; `PROCESS`.
        help: What it says.
        labels: Names of its labels.
    """

    name: str
    kind: str
    scope: str
    help: str
    labels: tuple[str, ...] = ()


def _metrics() -> list[Metric]:
    return [
        # -- what the children of this worker did
        Metric("taskmesh_claims_total", COUNTER, WORKER, "Claims that brought at least one message."),
        Metric("taskmesh_claimed_messages_total", COUNTER, WORKER, "Messages that were claimed."),
        Metric("taskmesh_commits_total", COUNTER, WORKER, "Outcomes that a node has accepted.", ("outcome",)),
        Metric(
            "taskmesh_leases_lost_total",
            COUNTER,
            WORKER,
            "Outcomes that a node refused since another worker had taken the message over.",
        ),
        Metric("taskmesh_task_runs_total", COUNTER, WORKER, "Runs that ended, by how.", ("task", "outcome")),
        Metric("taskmesh_task_retries_total", COUNTER, WORKER, "Runs that will be tried again.", ("task",)),
        Metric(
            "taskmesh_task_crashes_total",
            COUNTER,
            WORKER,
            "Runs whose process died in them; task is unknown where one process ran several.",
            ("task",),
        ),
        Metric("taskmesh_task_run_seconds", HISTOGRAM, WORKER, "How long runs took.", ("task",)),
        Metric(
            "taskmesh_task_wait_seconds",
            HISTOGRAM,
            WORKER,
            "How long messages waited, from when they were sent or due until their first attempt began.",
            ("task",),
        ),
        # -- this worker
        Metric(
            "taskmesh_worker_info",
            GAUGE,
            WORKER,
            "1; the labels say who this is.",
            ("worker", "mesh", "version"),
        ),
        Metric("taskmesh_worker_ready", GAUGE, WORKER, "Whether /readyz answers 200."),
        Metric("taskmesh_worker_registered", GAUGE, WORKER, "Whether it is known to the nodes."),
        Metric(
            "taskmesh_worker_children",
            GAUGE,
            WORKER,
            "Children: starting, idle, busy, stopped (SIGSTOP), leaving.",
            ("state",),
        ),
        Metric("taskmesh_worker_children_wanted", GAUGE, WORKER, "How many children there are to be."),
        Metric("taskmesh_worker_children_started_total", COUNTER, WORKER, "Children that were started."),
        Metric(
            "taskmesh_worker_children_died_total",
            COUNTER,
            WORKER,
            "Children that ended by themselves in another way than they should, in a task or not.",
        ),
        Metric(
            "taskmesh_worker_memory_bytes",
            GAUGE,
            WORKER,
            "Resident memory of the supervisor, the template and all children together.",
        ),
        Metric(
            "taskmesh_worker_turn_age_seconds",
            GAUGE,
            WORKER,
            "How long ago the supervisor's loop turned last.",
        ),
        Metric(
            "taskmesh_broker_connected",
            GAUGE,
            PROCESS,
            "Whether tickets of the broker are heard, or the broker of a scheduler answers, with one.",
        ),
        # -- the mesh, as its nodes tell
        Metric("taskmesh_nodes", GAUGE, MESH, "Nodes of the mesh, without those that were drained."),
        Metric("taskmesh_nodes_up", GAUGE, MESH, "Nodes that take part and answer this process."),
        Metric(
            "taskmesh_node_up", GAUGE, MESH, "Whether a node takes part and answers this process.", ("node",)
        ),
        Metric("taskmesh_node_connections", GAUGE, MESH, "Connections to a node, of everybody.", ("node",)),
        Metric("taskmesh_node_memory_bytes", GAUGE, MESH, "Memory that a node uses for data.", ("node",)),
        Metric(
            "taskmesh_node_memory_limit_bytes",
            GAUGE,
            MESH,
            "How much it may use; absent without a limit.",
            ("node",),
        ),
        Metric("taskmesh_queue_ready", GAUGE, MESH, "Messages that wait for a worker.", ("queue",)),
        Metric(
            "taskmesh_queue_oldest_age_seconds",
            GAUGE,
            MESH,
            "Since when the oldest message at the head of a line was sent; 0 for an empty queue.",
            ("queue",),
        ),
        Metric("taskmesh_queue_idle_children", GAUGE, MESH, "Children that wait for a message.", ("queue",)),
        Metric(
            "taskmesh_queue_blocked",
            GAUGE,
            MESH,
            "Messages that wait for their turn in a sequence.",
            ("queue",),
        ),
        Metric("taskmesh_queue_paused", GAUGE, MESH, "1 for a queue that is paused.", ("queue",)),
        Metric(
            "taskmesh_messages_ended_total",
            COUNTER,
            MESH,
            "Messages that reached a final state since the mesh was made.",
            ("queue", "state"),
        ),
        Metric("taskmesh_delayed", GAUGE, MESH, "Messages that wait for a time."),
        Metric("taskmesh_parked", GAUGE, MESH, "Messages for which no worker of their queue knows the task."),
        Metric("taskmesh_running", GAUGE, MESH, "Messages that workers hold."),
        Metric("taskmesh_dead_letters", GAUGE, MESH, "Dead letters that are kept."),
        Metric("taskmesh_workers", GAUGE, MESH, "Workers that the nodes know.", ("state",)),
        Metric("taskmesh_leader_up", GAUGE, MESH, "Whether there is a leader that renews its lease."),
        Metric(
            "taskmesh_leader_changes_total",
            COUNTER,
            MESH,
            "Handovers of the lead that this process has seen.",
        ),
        Metric(
            "taskmesh_view_epoch",
            GAUGE,
            MESH,
            "Number of the view; of a mesh of one node, of the server's start.",
        ),
        Metric(
            "taskmesh_copies_missing",
            GAUGE,
            MESH,
            "Copies of slots that are lacking, in a mesh of several nodes.",
        ),
        Metric("taskmesh_mesh_look_seconds", GAUGE, MESH, "How long it took to ask the nodes for these."),
        # -- the process that answers
        Metric("taskmesh_leads", GAUGE, PROCESS, "Whether this process is the leader of the mesh."),
        Metric(
            "taskmesh_scheduler_info",
            GAUGE,
            PROCESS,
            "1, for a `taskmesh scheduler`; the labels say who this is.",
            ("scheduler", "mesh", "version"),
        ),
        Metric("taskmesh_scheduler_ready", GAUGE, PROCESS, "Whether /readyz of a scheduler answers 200."),
        Metric("process_cpu_seconds_total", COUNTER, PROCESS, "Processor time of this process."),
        Metric("process_resident_memory_bytes", GAUGE, PROCESS, "Resident memory of this process."),
        Metric("process_virtual_memory_bytes", GAUGE, PROCESS, "Virtual memory of this process."),
        Metric("process_start_time_seconds", GAUGE, PROCESS, "When this process began, Unix time."),
        Metric("process_open_fds", GAUGE, PROCESS, "Files that this process has open."),
        Metric("process_max_fds", GAUGE, PROCESS, "Files that it may have open."),
    ]


CATALOGUE: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _metrics()}
