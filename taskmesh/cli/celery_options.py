"""Options of Celery's commands that mean nothing here: each is refused with what replaces it, and not shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from taskmesh.config.elsewhere import EVENTS, SCHEDULES

_SERVICE = "let systemd, supervisord or your container run the worker: it stays in the foreground"
_NODES = "nodes belong to the mesh: TaskMesh(..., nodes=[...]), TASKMESH_NODES or taskmesh.toml"
_PREFETCH = "how much a worker claims adapts to how long its tasks take, and what waits behind a slow one is taken back"

Spellings = tuple[str, ...]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Refused:
    """The options that one command refuses.

    Attributes:
        with_value: Those that take a value: spellings -> what is done instead.
        flags: Those that take none, likewise.
    """

    with_value: Mapping[Spellings, str] = field(default_factory=dict)
    flags: Mapping[Spellings, str] = field(default_factory=dict)


OF_WORKER = Refused(
    with_value={
        (
            "-X",
            "--exclude-queues",
        ): "a worker serves the queues that -Q names and no others: leave it out there",
        ("-O", "--optimization"): _PREFETCH,
        ("--prefetch-multiplier",): _PREFETCH,
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
    },
    flags={
        ("-B", "--beat"): SCHEDULES,
        ("-E", "--task-events", "--events"): EVENTS,
        ("-D", "--detach"): _SERVICE,
        ("-q", "--quiet"): "use -l WARNING",
        ("--purge", "--discard"): "use `taskmesh purge QUEUE` before",
        ("--disable-prefetch",): _PREFETCH,
        ("--without-gossip",): "workers do not gossip: leave it out",
        ("--without-mingle",): "workers do not wait for each other: leave it out",
        ("--without-heartbeat",): "a worker is alive by its heartbeat: leave it out",
    },
)
_ARGUMENTS = "give them after the task's name, one word each: `taskmesh call app.add 1 2`"
OF_CALL = Refused(
    with_value={
        ("-a", "--args"): _ARGUMENTS,
        (
            "--eta",
        ): "use --countdown, which takes seconds or 10m; a moment is given in Python: apply_async(eta=...)",
        ("--exchange",): "use --queue",
        ("--routing-key",): "use --queue",
        ("--serializer",): "arguments are pickled and signed; there is no serializer to choose",
    },
)
_OF_LOOKS: Mapping[Spellings, str] = {
    ("-t", "--timeout"): "leave it out: workers are not asked, what they publish is read",
}
OF_INSPECT = Refused(with_value={("-d", "--destination"): "use --worker NAME", **_OF_LOOKS})
OF_SCHEDULED = Refused(
    with_value={("-d", "--destination"): "leave it out: what waits for its time is on the node", **_OF_LOOKS},
)
_QUEUE_FIRST = "name one queue: `taskmesh purge QUEUE`"
OF_PURGE = Refused(
    with_value={("-Q", "--queues"): _QUEUE_FIRST, ("-X", "--exclude-queues"): _QUEUE_FIRST},
    flags={("-f", "--force"): "use --yes"},
)


def refused_options(refused: Refused) -> Callable[[F], F]:
    """Give a command the options that it refuses."""

    def decorate(function: F) -> F:
        for flags, options in ((False, refused.with_value), (True, refused.flags)):
            for names, instead in options.items():
                function = click.option(
                    *names,
                    "refused_" + names[-1].strip("-").replace("-", "_"),  # an argument may be named alike
                    hidden=True,
                    expose_value=False,
                    is_flag=flags,
                    callback=_refusal(names, instead),
                )(function)
        return function

    return decorate


def _refusal(names: tuple[str, ...], instead: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def refuse(_context: click.Context, _option: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            raise click.UsageError(
                f"{'/'.join(names)} is an option of Celery and means nothing here: {instead}"
            )

    return refuse
