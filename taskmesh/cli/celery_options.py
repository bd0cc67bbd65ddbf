"""Options of `celery worker` that mean nothing here: each is refused with what replaces it, and not shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from taskmesh.config.elsewhere import EVENTS, SCHEDULES

_SERVICE = "let systemd, supervisord or your container run the worker: it stays in the foreground"
_NODES = "nodes belong to the mesh: TaskMesh(..., nodes=[...]), TASKMESH_NODES or taskmesh.toml"
_PREFETCH = "how much a worker claims adapts to how long its tasks take, and what waits behind a slow one is taken back"

#: Spellings -> what is done instead.
WITH_VALUE: dict[tuple[str, ...], str] = {
    ("-X", "--exclude-queues"): "a worker serves the queues that -Q names and no others: leave it out there",
    ("-O", "--optimization"): _PREFETCH,
    ("--prefetch-multiplier",): _PREFETCH,
    ("-b", "--broker"): _NODES,
    ("--result-backend",): _NODES,
    (
        "-f",
        "--logfile",
    ): "a worker writes to standard error: redirect that, or set up logging in the app's module",
    ("--pidfile",): _SERVICE,
    ("--uid",): _SERVICE,
    ("--gid",): _SERVICE,
    ("--umask",): _SERVICE,
    ("--executable",): _SERVICE,
    ("--workdir",): "use --path, or change the folder first",
    ("-S", "--statedb"): "what was revoked stands in its record; there is no file to keep",
    ("-s", "--schedule", "--schedule-filename"): SCHEDULES,
    ("--scheduler",): SCHEDULES,
    ("--heartbeat-interval",): "a worker beats five times in lease_ttl, a setting of the mesh",
}
FLAGS: dict[tuple[str, ...], str] = {
    ("-B", "--beat"): SCHEDULES,
    ("-E", "--task-events", "--events"): EVENTS,
    ("-D", "--detach"): _SERVICE,
    ("--purge", "--discard"): "use `taskmesh purge QUEUE` before",
    ("--disable-prefetch",): _PREFETCH,
    ("--without-gossip",): "workers do not gossip: leave it out",
    ("--without-mingle",): "workers do not wait for each other: leave it out",
    ("--without-heartbeat",): "a worker is alive by its heartbeat: leave it out",
}


def refused_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that it refuses."""
    for names, instead in {**WITH_VALUE, **FLAGS}.items():
        function = click.option(
            *names,
            hidden=True,
            expose_value=False,
            is_flag=names in FLAGS,
            callback=_refusal(names, instead),
        )(function)
    return function


def _refusal(names: tuple[str, ...], instead: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def refuse(_context: click.Context, _option: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            raise click.UsageError(
                f"{'/'.join(names)} is an option of Celery and means nothing here: {instead}"
            )

    return refuse
