"""A process that sends: it says which id it tries before each send, and what it was told after it.

`python -m tests.apps.producer MESH SETTINGS FOLDER COUNT`; without a count it goes on until it is ended.
"""

from __future__ import annotations

import itertools
import json
import sys
import uuid

from taskmesh import TaskMesh
from taskmesh.errors import SendRejected, SendUnknown
from tests.apps import ledger_tasks, worker_tasks


def main(words: list[str]) -> int:
    """Send, one by one."""
    mesh = worker_tasks.register(TaskMesh(words[0], **json.loads(words[1])))
    function = ledger_tasks.entry
    task = mesh.tasks[f"{function.__module__}.{function.__qualname__}"]
    for _ in range(int(words[3])) if len(words) > 3 else itertools.count():
        task_id = uuid.uuid4().hex
        print("tries", task_id, flush=True)
        try:
            task.apply_async((words[2],), task_id=task_id)
        except SendUnknown:
            print("unknown", task_id, flush=True)
        except SendRejected:
            print("rejected", task_id, flush=True)
        else:
            print("accepted", task_id, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
