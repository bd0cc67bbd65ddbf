"""What a worker tells of itself when it registers; `codec/about.py` reads it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence

from taskmesh.nodes.machine import boot_id
from taskmesh.worker.pools import Pool
from taskmesh.worker.process import pid_space, started_at

#: A worker with more tasks than these does not list them.
TASKS_TOLD_MAX = 500


def worker_info(
    name: str,
    app: str,
    place: str,
    queues: Sequence[str],
    concurrency: int,
    build: str,
    *,
    pools: Sequence[Pool] = (),
    tasks: Sequence[str] = (),
    strategy: str = "",
    weights: Mapping[str, int] | None = None,
    since_ms: int = 0,
) -> bytes:
    """Return what a worker tells of itself when it registers, as JSON.

    The names of its tasks are left out where they are very many: every status would carry them.
    """
    return json.dumps(
        {
            "name": name,
            "app": app,
            "place": place,
            "queues": list(queues),
            "strategy": strategy,
            "weights": dict(weights or {}),
            "concurrency": concurrency,
            "pools": [
                {"kind": pool.kind, "slots": pool.slots, "queues": list(pool.queues)} for pool in pools
            ],
            "build": build,
            "host": socket.gethostname(),
            "boot": boot_id(),
            "pid": os.getpid(),
            "pids": pid_space(),
            "start": started_at(os.getpid()),
            "since_ms": since_ms or int(time.time() * 1000),
        }
        | ({"tasks": list(tasks)} if len(tasks) <= TASKS_TOLD_MAX else {})
    ).encode()
