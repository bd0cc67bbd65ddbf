"""What the model reckons with: figures of results/*.json, and what one machine cannot tell and is assumed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from taskmesh.coordination.candidates import STAND_BY_MAX

RESULTS = Path(__file__).parent.parent / "results"

REPLICAS = 3

# -- how TaskMesh behaves: its defaults -------------------------------------------------

BEAT_S = 2.0
#: A child keeps one connection to talk and one to wait, its supervisor two.
CHILDREN = 2
CONNECTIONS_OF_CHILDREN, CONNECTIONS_OF_SUPERVISOR = 2 * CHILDREN, 2
#: Of how many nodes a worker takes messages, where it does not of all.
NODES_PER_WORKER = 8
#: After so much silence a node is suspected, by two observers, who look so often.
SILENT_S, LOOK_S, OBSERVERS = 2.0, 0.5, 2
#: Processes that lead, or stand by for it; each of the others looks so seldom whether it is needed.
STANDING = 1 + STAND_BY_MAX
#: Bytes a second at which copies travel to one node in the background.
COPY_BYTES_PER_S = 8 << 20
#: So many copies travel in one call.
COPIES_AT_ONCE = 50

# -- assumed ----------------------------------------------------------------------------

#: A round trip between two hosts of one site.
ROUND_TRIP_S = 0.0005
#: Network of a host.
NETWORK_BYTES_PER_S = 1e9 / 8
#: A node is full at so much of one core, since scripts run one after the other.
CPU_SHARE_MAX = 0.7
#: What Valkey allows unless it is told otherwise.
CONNECTIONS_MAX = 10_000
#: Messages that wait, run or are remembered on each node as their primary; bytes of arguments and results of each,
#: beside what a message takes anyway.
MESSAGES_PER_NODE = 100_000
PAYLOAD_BYTES = 1000
#: Of these so many have not all their copies when a node dies: what is on its way.
UNEVEN_SHARE = 0.001
#: Schedules for each worker, and how often each fires.
SCHEDULES_PER_WORKER, SCHEDULE_S = 0.1, 60.0
#: A record that is compared costs the server this part of one that is sent; one that is led anew, so many times of it.
COMPARE_PART, PROMOTE_TIMES = 0.5, 3.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured, in the units of the names; `us` is CPU time of the server."""

    beat_us: float
    beat_per_worker_us: float
    beat_per_worker_bytes: float
    message_bytes: float
    connection_bytes: float
    stand_by_us: float
    stand_back_us: float
    look_us: float
    send_us: float
    run_us: float
    call_s: float
    agreed_s: float
    firings_per_s: float


def read(results: Path = RESULTS) -> Costs:
    """Return the costs that were measured.

    Raises:
        FileNotFoundError: It lacks a file; `python -m benchmarks --json` and `python -m benchmarks.costs` make them.
    """
    single = json.loads((results / "costs.json").read_text())["costs"]
    rows = {row["row"]: row for row in json.loads((results / "budget.json").read_text())["rows"]}
    return Costs(
        beat_us=single["beat_us"],
        beat_per_worker_us=single["beat_per_worker_us"],
        beat_per_worker_bytes=single["beat_per_worker_bytes"],
        message_bytes=single["message_bytes"],
        connection_bytes=single["connection_bytes"],
        stand_by_us=single["stand_by_us"],
        stand_back_us=single["stand_back_us"],
        look_us=single["look_us"],
        send_us=rows["starmap-process"]["detail"]["server_cpu_us"],
        run_us=rows["drain-process"]["detail"]["server_cpu_us"],
        call_s=1 / rows["delay-ratio"]["detail"]["ready_by_driver_per_s"],
        agreed_s=rows["agreed-change-p99"]["value"] / 1000,
        firings_per_s=rows["schedules"]["value"],
    )
