"""Commands of `celery` and of those who work beside it, each with what there is here. Loaded when one is asked for."""

from __future__ import annotations

_LOOK = "look with `taskmesh top`, `events`, `status`, `workers`, `queues` and `inspect`"

INSTEAD: dict[str, str] = {
    "amqp": "there is no such broker; use `taskmesh queues`, `purge` and `dead`",
    "control": "use `taskmesh workers --stop`, `taskmesh revoke --terminate`, `taskmesh queue pause` and `resume`, "
    "`taskmesh task rate-limit`",
    "dashboard": f"this version has no web page; {_LOOK}",
    "flower": f"this version has no web page; {_LOOK}",
    "graph": "this version has no workflows to draw",
    "list": "use `taskmesh queues`, or `taskmesh inspect registered` for tasks",
    "logtool": "a worker writes to standard error, one line for each event; use grep",
    "migrate": "messages stay on their node; let workers empty the old one, and send to the new one",
    "monitor": _LOOK,
    "multi": "start one `taskmesh worker` for each, with systemd, supervisord or containers",
    "report": "use `taskmesh doctor` and `taskmesh config`",
    "run": "use `taskmesh worker`",
    "shell": "use `python` and import the app: `from app import mesh`",
    "start": "use `taskmesh worker`, or `taskmesh up` for node and workers in one terminal",
    "stop": "use `taskmesh workers --stop` for workers, `taskmesh down` for the embedded node",
    "upgrade": "use `taskmesh config`; a setting of Celery is refused with what replaces it",
}

#: The same, of `celery inspect`.
INSTEAD_OF_INSPECT: dict[str, str] = {
    "active_queues": "use `taskmesh workers`, or `taskmesh queues` for who serves each",
    "clock": "there is no logical clock; records carry the node's time",
    "conf": "use `taskmesh config`",
    "memdump": "use `taskmesh inspect stats`, which shows how much memory each worker takes",
    "memsample": "use `taskmesh inspect stats`, which shows how much memory each worker takes",
    "objgraph": "use a profiler such as memray on the worker's process; `taskmesh inspect stats` shows its number",
    "query_task": "use `taskmesh result ID`",
    "report": "use `taskmesh doctor` and `taskmesh config`",
    "revoked": "use `taskmesh result ID`; `taskmesh inspect active` shows what runs and was asked to end",
    "revoked_tasks": "use `taskmesh result ID`; `taskmesh inspect active` shows what runs and was asked to end",
}
