"""`taskmesh schedule`: look at schedules and change them, while everything runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.call import argument, full_name, keyword_arguments
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import as_arguments, facts, json_option, print_json, say, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.client.schedules import ScheduleView
from taskmesh.coordination.schedule import MISFIRE, OVERLAP
from taskmesh.scheduler.crontab import crontab
from taskmesh.scheduler.every import every
from taskmesh.scheduler.when import When, read_when

_CODES = ["0 done, also when it was so already", "1 no majority of the acceptors can be reached"]
_LOOK = ["0 shown", "1 no majority of the acceptors can be reached"]
#: Characters of each argument that `show` shows.
_SHOWN = 200


@click.group(cls=SuggestingGroup)
def schedule() -> None:
    """Look at schedules, add, pause and remove them, and see when they fire.

    What is changed counts within a second. Schedules fire while a worker or `taskmesh scheduler` runs. Of a name that
    stands already, the end is enough where only one fits: `nightly` for `app.nightly`.
    """


# -- looking ------------------------------------------------------------------------------


@schedule.command(
    "list",
    epilog=ending(
        examples=["taskmesh schedule list -A app:mesh", "taskmesh schedule list --mesh shop --json"],
        codes=_LOOK,
    ),
)
@target_options()
@json_option
def list_command(*, target: Target, json_wanted: bool) -> None:
    """List all schedules, with the next firing of each."""
    mesh = target.look()
    found = mesh.schedules.list()
    if json_wanted:
        print_json([_document(view) for view in found])
    elif not found:
        show(f"mesh {mesh.name} has no schedules")
    else:
        rows = [(view.name, view.when, view.zone, view.task, _next_shown(view)) for view in found]
        show(table(f"schedules: {len(found):,}", ["name", "when", "zone", "task", "next"], rows))


@schedule.command(
    "show",
    epilog=ending(
        examples=[
            "taskmesh schedule show nightly -A app:mesh",
            "taskmesh schedule show nightly --args -A app:mesh",
        ],
        codes=_LOOK,
    ),
)
@click.argument("name")
@click.option(
    "--args", "args_wanted", is_flag=True, help="Unpickle and show the arguments, which runs their code."
)
@target_options()
@json_option
def show_command(*, name: str, args_wanted: bool, target: Target, json_wanted: bool) -> None:
    """Show one schedule: its times, its call, what becomes of missed firings.

    Nothing is unpickled unless --args is given.
    """
    schedules = target.look().schedules
    view = schedules.get(schedules.full_name(name))
    arguments = view.arguments() if args_wanted else None
    if json_wanted:
        more = {} if arguments is None else {"arguments": as_arguments(*arguments)}
        print_json(_document(view) | more)
        return
    kept = f"{view.arguments_size:,} bytes, pickled; --args shows them"
    show(
        facts(
            f"schedule {view.name}",
            [
                ("when", view.when),
                ("zone", view.zone),
                ("task", view.task),
                ("arguments", kept if arguments is None else f"({as_arguments(*arguments, _SHOWN)})"),
                ("queue", view.queue),
                ("paused", view.paused),
                ("in the code", view.declared),
                ("misfire", f"{view.misfire}, up to {timedelta(seconds=view.catch_up_s)} old"),
                ("overlap", view.overlap),
                ("jitter", f"{view.jitter_s:g} s"),
                ("start", _shown(view.start)),
                ("end", _shown(view.end)),
                ("created", _shown(view.created)),
                ("next", _next_shown(view)),
            ],
        )
    )


@schedule.command(
    "next",
    epilog=ending(
        examples=[
            "taskmesh schedule next nightly --count 10 -A app:mesh",
            'taskmesh schedule next --cron "0 3 * * *" --tz Europe/Paris',
            "taskmesh schedule next --every 8h",
        ],
        codes=_LOOK,
    ),
)
@click.argument("name", required=False)
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="So many firings.")
@click.option("--cron", metavar="LINE", help="Of this cron line, instead of a schedule that exists.")
@click.option("--every", "interval", metavar="S", help="Of this interval: seconds, or 10m, 2h.")
@click.option("--once", "moment", metavar="TIME", help="Of this single moment: 2027-01-01T00:00.")
@click.option("--tz", metavar="ZONE", default="UTC", show_default=True, help="The zone of --cron and --once.")
@target_options()
@json_option
def next_command(
    *,
    name: str | None,
    count: int,
    cron: str | None,
    interval: str | None,
    moment: str | None,
    tz: str,
    target: Target,
    json_wanted: bool,
) -> None:
    """Print when a schedule fires next: in its own zone, and in UTC."""
    said = next((each for each in (cron, interval, moment) if each is not None), None)
    if (name is None) == (said is None):
        also = "" if name is None else "; not both"
        raise click.UsageError(
            f"give the NAME of a schedule, or times with one of --cron, --every and --once{also}"
        )
    view = None
    if said is None:
        schedules = target.look().schedules
        name = schedules.full_name(str(name))
        view = schedules.get(name)
    if view is not None:
        coming = view.coming(count)
    else:
        coming = _when(cron, interval, moment, tz).coming(datetime.now(UTC), count)
    if json_wanted:
        print_json([{"local": each.isoformat(), "utc": each.astimezone(UTC).isoformat()} for each in coming])
    elif not coming:
        paused = f"it is paused; `taskmesh schedule resume {name}` lets it fire again"
        show(paused if view is not None and view.paused else "it does not fire any more")
    else:
        rows = [(_shown(each), f"{each.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z") for each in coming]
        show(table(f"next firings of {name or said}", ["in its zone", "UTC"], rows))


# -- changing -----------------------------------------------------------------------------


@schedule.command(
    epilog=ending(
        examples=[
            'taskmesh schedule add nightly report --cron "0 3 * * *" --tz Europe/Paris -A app:mesh',
            "taskmesh schedule add poll app.poll 7 --every 30s --overlap skip --queue slow",
            "taskmesh schedule add party app.greet --once 2027-01-01T00:00 --tz Europe/Paris",
        ],
        codes=_CODES,
    ),
)
@click.argument("name")
@click.argument("task")
@click.argument("args", nargs=-1)
@click.option("--cron", metavar="LINE", help='When, as a cron line: "minute hour day month weekday".')
@click.option("--every", "interval", metavar="S", help="When, as an interval: seconds, or 10m, 2h.")
@click.option("--once", "moment", metavar="TIME", help="When, as a single moment: 2027-01-01T00:00.")
@click.option("--tz", metavar="ZONE", default="UTC", show_default=True, help="The zone of --cron and --once.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Keyword arguments, as a JSON object.")
@click.option("--queue", metavar="QUEUE", help="Where its messages go, instead of the task's own queue.")
@click.option(
    "--misfire", type=click.Choice(MISFIRE), help="What comes of missed firings.  [default: latest]"
)
@click.option("--catch-up", metavar="S", help="How old a missed firing may be that is run.  [default: 1d]")
@click.option("--overlap", type=click.Choice(OVERLAP), help="While the last one runs.  [default: allow]")
@click.option("--jitter", metavar="S", help="By how much messages are delayed at most.  [default: 0]")
@target_options()
@json_option
def add(
    *,
    name: str,
    task: str,
    args: tuple[str, ...],
    cron: str | None,
    interval: str | None,
    moment: str | None,
    tz: str,
    kwargs_text: str | None,
    queue: str | None,
    misfire: str | None,
    catch_up: str | None,
    overlap: str | None,
    jitter: str | None,
    target: Target,
    json_wanted: bool,
) -> None:
    """Have TASK called at times, with ARGS, which are read as JSON where they are that.

    One of the same name is defined anew. With an app (-A), TASK may be the end of a name, and what it can be called
    with is checked; with --mesh it is taken as it stands.
    """
    when = _when(cron, interval, moment, tz)
    mesh = target.open()
    signature = _task(mesh, target, task).signature(
        [argument(word) for word in args], keyword_arguments(kwargs_text), queue=queue
    )
    changed = mesh.schedule(
        name, when, signature, misfire=misfire, catch_up=catch_up, overlap=overlap, jitter=jitter
    )
    view = mesh.schedules.get(name)
    if json_wanted:
        print_json({**_document(view), "changed": changed})
    else:
        click.echo(f"schedule {name} {'is set' if changed else 'was so already'}; next: {_next_shown(view)}")
        if not view.paused and not view.coming():
            say(
                "it never fires: what it names has passed, and nothing that fell before it was made is made up for"
            )


def _when(cron: str | None, interval: str | None, moment: str | None, tz: str) -> When:
    if sum(each is not None for each in (cron, interval, moment)) != 1:
        raise click.UsageError("when? give one of --cron, --every and --once")
    if cron is not None:
        return crontab(cron, tz=tz)
    return every(_interval(interval)) if interval is not None else read_when(f"once {moment}", tz)


def _interval(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _task(mesh: TaskMesh, target: Target, name: str) -> Any:
    from taskmesh.app.by_name import task_by_name

    return mesh.tasks[full_name(name, mesh)] if target.app else task_by_name(mesh, name)


@schedule.command(epilog=ending(examples=["taskmesh schedule remove nightly -A app:mesh"], codes=_CODES))
@click.argument("name")
@target_options()
@json_option
def remove(*, name: str, target: Target, json_wanted: bool) -> None:
    """Remove a schedule; messages that it has sent are run all the same.

    One that stands in the app's code is defined again when a worker starts: pause it, or take it out of the code.
    """
    schedules = target.open().schedules
    name = schedules.full_name(name)
    changed = schedules.remove(name)
    _tell(name, "removed", "did not exist", changed=changed, json_wanted=json_wanted)


@schedule.command(epilog=ending(examples=["taskmesh schedule pause nightly -A app:mesh"], codes=_CODES))
@click.argument("name")
@target_options()
@json_option
def pause(*, name: str, target: Target, json_wanted: bool) -> None:
    """Have a schedule not fire until it is resumed."""
    schedules = target.open().schedules
    name = schedules.full_name(name)
    changed = schedules.pause(name)
    _tell(name, "paused", "was paused already", changed=changed, json_wanted=json_wanted)


@schedule.command(epilog=ending(examples=["taskmesh schedule resume nightly -A app:mesh"], codes=_CODES))
@click.argument("name")
@target_options()
@json_option
def resume(*, name: str, target: Target, json_wanted: bool) -> None:
    """Let a paused schedule fire again, from now on: what it would have fired meanwhile is not made up for."""
    schedules = target.open().schedules
    name = schedules.full_name(name)
    changed = schedules.resume(name)
    _tell(name, "resumed", "was not paused", changed=changed, json_wanted=json_wanted)


@schedule.command(
    "run-now", epilog=ending(examples=["taskmesh schedule run-now nightly -A app:mesh"], codes=_CODES)
)
@click.argument("name")
@target_options()
@json_option
def run_now(*, name: str, target: Target, json_wanted: bool) -> None:
    """Send what a schedule calls, now, beside its firings; prints the id."""
    schedules = target.open().schedules
    name = schedules.full_name(name)
    handle = schedules.run_now(name)
    if json_wanted:
        print_json({"schedule": name, "id": handle.id})
    else:
        click.echo(handle.id)


def _tell(name: str, done: str, otherwise: str, *, changed: bool, json_wanted: bool) -> None:
    if json_wanted:
        print_json({"schedule": name, "done": done, "changed": changed})
    else:
        click.echo(f"schedule {name} {f'is {done}' if changed else otherwise}")


# -- shown --------------------------------------------------------------------------------


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if moment is not None else ""


def _next_shown(view: ScheduleView) -> str:
    if view.paused:
        return "paused"
    coming = view.coming()
    return _shown(coming[0]) if coming else "never"


def _document(view: ScheduleView) -> dict[str, Any]:
    def iso(moment: datetime | None) -> str | None:
        return moment.isoformat() if moment is not None else None

    coming = view.coming()
    return {
        "name": view.name,
        "when": view.when,
        "zone": view.zone,
        "task": view.task,
        "arguments_size": view.arguments_size,
        "queue": view.queue,
        "paused": view.paused,
        "in_code": view.declared,
        "misfire": view.misfire,
        "catch_up_s": view.catch_up_s,
        "overlap": view.overlap,
        "jitter_s": view.jitter_s,
        "start": iso(view.start),
        "end": iso(view.end),
        "created": iso(view.created),
        "next": iso(coming[0]) if coming else None,
    }
