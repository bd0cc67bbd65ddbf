"""`taskmesh inspect`: what workers do, from what they publish and from the records of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from taskmesh.cli.celery_options import OF_INSPECT, OF_SCHEDULED, refused_options
from taskmesh.cli.failure import EXIT_FAILURE
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import as_duration, as_size, facts, json_option, print_json, say, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.client.inspect import LIMIT, Rows

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = ["0 shown, also when there is nothing", "1 the node cannot be reached, or there is no such mesh"]
_NO_WORKER = "there are no workers"


class _Inspect(SuggestingGroup):
    """The group of these commands."""

    def instead_of(self, name: str) -> str:
        """Return what there is instead of a command of `celery inspect`."""
        from taskmesh.cli.celery_commands import INSTEAD_OF_INSPECT

        return INSTEAD_OF_INSPECT.get(name, "")


@click.group(cls=_Inspect)
def inspect() -> None:
    """Look at what workers do: what runs, what is claimed, what waits.

    Workers are not asked: what each is at is published with its heartbeat, every two seconds. A task's name is shown
    where its message's signature is fine, and nothing is unpickled.
    """


def worker_option(function: F) -> F:
    """Give a command `--worker`."""
    option = click.option(
        "--worker", "names", metavar="NAME", multiple=True, help="Only this worker; may be repeated."
    )
    return option(refused_options(OF_INSPECT)(function))


def limit_option(function: F) -> F:
    """Give a command `--limit`."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=LIMIT,
        show_default=True,
        help="Show so many messages at most, of each worker.",
    )(function)


@inspect.command(
    epilog=ending(
        examples=["taskmesh inspect active -A app:mesh", "taskmesh inspect active --worker mailer --json"],
        codes=_SHOWN,
    )
)
@worker_option
@limit_option
@target_options()
@json_option
def active(*, names: tuple[str, ...], limit: int, target: Target, json_wanted: bool) -> None:
    """Show what runs now.

    `age` is a dash for what began after its worker's last heartbeat, and for what goes beyond 256 claims of one process
    with threads or coroutines. `revoked` says that it was asked to end.
    """
    found = target.look().inspect(*names, limit=limit).active()
    if json_wanted:
        print_json(found)
        return
    _table(
        "running",
        ["task", "queue", "age", "attempt", "child", "pid", "revoked"],
        found,
        lambda row: (
            _task(row),
            row["queue"],
            None if row["age_s"] is None else as_duration(row["age_s"]),
            row.get("attempt"),
            row["child"],
            str(row["pid"] or ""),
            "yes" if row.get("revoked") else None,
        ),
        numbers=["age", "attempt", "child", "pid"],
        nothing="nothing runs",
    )


@inspect.command(
    epilog=ending(
        examples=[
            "taskmesh inspect reserved -A app:mesh",
            "taskmesh inspect reserved --worker mailer --json",
        ],
        codes=_SHOWN,
    )
)
@worker_option
@limit_option
@target_options()
@json_option
def reserved(*, names: tuple[str, ...], limit: int, target: Target, json_wanted: bool) -> None:
    """Show what is claimed and has not begun.

    A child claims some 20 ms of work at once; what waits behind a slow task is taken back from it.
    """
    found = target.look().inspect(*names, limit=limit).reserved()
    if json_wanted:
        print_json(found)
        return
    _table(
        "claimed, not begun",
        ["task", "queue", "priority", "attempt", "child"],
        found,
        lambda row: (_task(row), row["queue"], row.get("priority"), row.get("attempt"), row["child"]),
        numbers=["priority", "attempt", "child"],
        nothing="no worker has claimed anything that it has not begun",
    )


@inspect.command(
    epilog=ending(
        examples=[
            "taskmesh inspect scheduled -A app:mesh",
            "taskmesh inspect scheduled --start 50 --limit 50",
        ],
        codes=_SHOWN,
    )
)
@limit_option
@refused_options(OF_SCHEDULED)
@click.option(
    "--start", type=click.IntRange(min=0), default=0, show_default=True, help="Pass over so many, to read on."
)
@target_options()
@json_option
def scheduled(*, limit: int, start: int, target: Target, json_wanted: bool) -> None:
    """Show what waits for its time, the next first.

    Messages with countdown or eta, retries, what a rate limit holds back, and what is parked until a worker knows its
    task: `why` says which. No worker holds them: they wait on the node.
    """
    found = target.look().inspect(limit=limit).scheduled(start=start)
    if json_wanted:
        print_json(found)
        return
    rows = found["node"]
    if not rows:
        show("nothing waits for its time")
        return
    show(
        table(
            "waiting for their time",
            ["id", "due", "state", "why", "task", "queue", "attempt", "parked by build"],
            [
                (
                    row["id"],
                    row["eta"],
                    row["state"],
                    row["reason"],
                    _task(row),
                    row["queue"],
                    row.get("attempt"),
                    row["parked_by"],
                )
                for row in rows
            ],
            numbers=["attempt"],
        )
    )
    if len(rows) == limit:
        say(f"there may be more: --start {start + limit}")


@inspect.command(
    epilog=ending(
        examples=[
            "taskmesh inspect registered -A app:mesh",
            "taskmesh inspect registered --mesh shop --json",
        ],
        codes=_SHOWN,
    )
)
@worker_option
@target_options()
@json_option
def registered(*, names: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Show the tasks that each worker can run.

    As each worker told when it started. One with more than 500 tasks does not list them. A limit that `taskmesh task
    rate-limit` has set stands beside.
    """
    mesh = target.look()
    found = mesh.inspect(*names).registered()
    if json_wanted:
        print_json(found)
    elif not found:
        show(_NO_WORKER)
    else:
        limits = mesh.rate_limits()
        rows = [(worker, task, limits.get(task)) for worker, tasks in found.items() for task in tasks or [""]]
        if limits:
            show(table("registered tasks", ["worker", "task", "limit that was set"], rows))
        else:
            show(table("registered tasks", ["worker", "task"], [row[:2] for row in rows]))


@inspect.command(
    epilog=ending(
        examples=["taskmesh inspect stats -A app:mesh", "taskmesh inspect stats --worker mailer --json"],
        codes=_SHOWN,
    )
)
@worker_option
@target_options()
@json_option
def stats(*, names: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Show facts and counts of each worker.

    `processed` counts how runs ended since the worker started, or since it began anew after it was declared dead.
    Memory counts what processes share once for each.
    """
    found = target.look().inspect(*names).stats()
    if json_wanted:
        print_json(found)
    elif not found:
        show(_NO_WORKER)
    for worker, about in {} if json_wanted else found.items():
        show(facts(f"worker {worker}", _facts(about)))


@inspect.command(
    epilog=ending(
        examples=["taskmesh inspect ping -A app:mesh", "taskmesh inspect ping --worker mailer --json"],
        codes=[
            "0 the hearts of all workers beat",
            "1 one does not, or there are none; the node cannot be reached, or there is no such mesh",
        ],
    )
)
@worker_option
@target_options()
@json_option
def ping(*, names: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Tell of each worker whether its heart beats.

    It beats every two seconds (sooner with a short lease_ttl), whatever tasks do, and is missed after three beats.
    """
    found = target.look().inspect(*names).ping()
    if json_wanted:
        print_json(found)
    elif not found:
        show(_NO_WORKER)
    else:
        show(
            table(
                "workers",
                ["worker", "answer", "last beat"],
                [
                    (
                        worker,
                        pulse.get("ok") or pulse["error"],
                        None if pulse["beat_age_s"] is None else f"{as_duration(pulse['beat_age_s'])} ago",
                    )
                    for worker, pulse in found.items()
                ],
            )
        )
    if not found or any("ok" not in pulse for pulse in found.values()):
        click.get_current_context().exit(EXIT_FAILURE)


def _task(row: Mapping[str, Any]) -> str:
    return row["task"] or "not verified"


def _table(
    title: str,
    columns: list[str],
    found: Rows,
    cells: Callable[[dict[str, Any]], tuple[object, ...]],
    *,
    numbers: list[str],
    nothing: str,
) -> None:
    """Show the messages of all workers in one table, or say that there are none."""
    rows = [(row["id"], worker, *cells(row)) for worker, some in found.items() for row in some]
    if rows:
        show(table(title, ["id", "worker", *columns], rows, numbers=numbers))
    else:
        show(nothing if found else _NO_WORKER)


def _facts(about: Mapping[str, Any]) -> list[tuple[str, object]]:
    weights = about["weights"]
    queues = [f"{queue}={weights[queue]}" if queue in weights else queue for queue in about["queues"] or ()]
    pairs = [
        ("state", about["state"]),
        ("where", f"{about['host']}, process {about['pid']}"),
        ("app", about["app"]),
        ("queues", ", ".join(queues)),
        ("strategy", about["strategy"]),
    ]
    if "pool" not in about:
        return [*pairs, ("report", about["problem"])]
    processed = ", ".join(f"{count:,} {state}" for state, count in about["processed"].items() if count)
    return [
        *pairs,
        ("pool", _pool_in_words(about)),
        *([("broker", _broker_in_words(about["broker"]))] if about["broker"] else []),
        ("running", about["running"]),
        ("claimed, not begun", about["prefetch"]),
        ("processed", processed or "nothing yet"),
        ("up", as_duration(about["uptime_s"])),
        ("memory", as_size(about["rss_bytes"]) if about["rss_bytes"] else None),
        ("last beat", f"{as_duration(about['beat_age_s'])} ago"),
    ]


def _broker_in_words(broker: Mapping[str, Any]) -> str:
    how = {True: "heard", False: f"not heard: {broker['trouble']}", None: "not listened to"}
    return f"{broker['address']}, {how[broker['hears']]}"


def _pool_in_words(about: Mapping[str, Any]) -> str:
    """Return how tasks run side by side; a child may run many, so it is not compared with how many run at once."""
    count = len(about["children"])
    children = "1 child" if count == 1 else f"{count} children"
    return f"{about['pool']}: {children}, {about['concurrency']} tasks at once"
