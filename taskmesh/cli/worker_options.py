"""What `taskmesh worker` and `taskmesh up` have in common: their options, and the worker that they mean."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import click

from taskmesh.balancing.named import chosen_strategy
from taskmesh.cli.app_path import located
from taskmesh.cli.broker_option import VARIABLE, broker_option, given_broker
from taskmesh.cli.celery_options import OF_WORKER, refused_options
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.log_format_option import format_of, log_format_option
from taskmesh.cli.probes_option import probes_of, probes_option
from taskmesh.cli.seconds import Seconds
from taskmesh.cli.target import HOW, app_option, path_option
from taskmesh.cli.worker_file import read_worker_file
from taskmesh.config.settings import (
    LOG_LEVELS,
    NODES_PER_WORKER_MAX,
    TASKS_PER_CHILD_MAX,
    app_setting,
    check_mesh_name,
)
from taskmesh.config.strategies import STRATEGIES
from taskmesh.config.values import limit_of_memory, modules, weighted_queues
from taskmesh.core.limits import check_limits
from taskmesh.errors import UsageError
from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.pools import PROCESS, SLOTS_MAX, Pool, read_pools, sized


def worker_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a worker, and pass them as `given`: those that were given, by name."""

    @functools.wraps(function)
    def wrapper(*, json_wanted: bool, **options: Any) -> None:
        given = {name: value for name, value in options.items() if value is not None and value is not False}
        given = {name: value for name, value in given.items() if value != ()}
        argument = given.pop("app_argument", None)
        if argument and given.get("app", argument) != argument:
            raise click.UsageError("the app is given twice: as an argument and with -A")
        outer = click.get_current_context().find_root().params.get("app")
        app = argument or given.get("app") or (None if given.get("mesh") else outer)
        if app:
            given["app"] = app
        function(given=given, json_wanted=json_wanted)

    decorated: Callable[..., None] = refused_options(OF_WORKER)(wrapper)
    for decorate in (
        click.option(
            "-P",
            "--pool",
            metavar="KIND[:N][=a,b]",
            multiple=True,
            help="How tasks run side by side: process, thread or async; N at once, from queues a and b only. Give "
            "it several times for several pools: --pool process:4 --pool async:500=io.  [default: process]",
        ),
        click.option(
            "--grace",
            type=Seconds(),
            metavar="S",
            help="How long running tasks have to finish after the first signal: seconds, or 1m.  [default: 30]",
        ),
        click.option(
            "--autoscale",
            metavar="MAX[,MIN]",
            help="Keep MIN children, or 1, and up to MAX while all are busy and messages wait; instead of -c.",
        ),
        click.option(
            "--nodes-per-worker",
            type=click.IntRange(min=1, max=NODES_PER_WORKER_MAX),
            metavar="N",
            help="In a mesh of many nodes, claim from N of them at a time.  [default: all, up to 8]",
        ),
        click.option(
            "--max-memory-per-child",
            metavar="SIZE",
            help="Replace a child, between tasks, that holds more memory of its own, such as 200MB.  [default: never]",
        ),
        click.option(
            "--max-tasks-per-child",
            type=click.IntRange(min=1, max=TASKS_PER_CHILD_MAX),
            metavar="N",
            help="Replace a child after so many tasks.  [default: never]",
        ),
        click.option(
            "--time-limit",
            type=Seconds(),
            metavar="S",
            help="How long a task may run before its process is ended, unless it has its own limit: seconds, or 1m.",
        ),
        click.option(
            "--soft-time-limit",
            type=Seconds(),
            metavar="S",
            help="How long a task may run before SoftTimeLimitExceeded is raised in it, likewise.",
        ),
        click.option(
            "--reload-dir",
            multiple=True,
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False, resolve_path=True),
            help="With --reload: watch all Python files in this folder, too; may be repeated.",
        ),
        click.option(
            "--reload",
            is_flag=True,
            help="For development: import the app again, and replace the children, when its files change.",
        ),
        click.option(
            "--no-scheduler",
            is_flag=True,
            help="Do not stand for leader: other workers, or `taskmesh scheduler`, fire the schedules.",
        ),
        probes_option,
        click.option(
            "--burst", is_flag=True, help="Stop when the queues are empty, and nothing is due within 2 s."
        ),
        click.option(
            "-l",
            "--log-level",
            "--loglevel",
            "log_level",
            type=click.Choice(LOG_LEVELS, case_sensitive=False),
            metavar="LEVEL",
            help="How much to say on stderr: DEBUG, INFO, WARNING, ERROR, CRITICAL.  [default: INFO]",
        ),
        log_format_option,
        click.option(
            "-I",
            "--include",
            metavar="a,b",
            multiple=True,
            help="Modules with tasks to import after the app's own, beside those of the setting; may be repeated.",
        ),
        click.option(
            "-n",
            "--name",
            "--hostname",
            "name",
            metavar="NAME",
            help="Name for people; %h in it stands for the host.  [default: host and pid]",
        ),
        click.option(
            "-Q",
            "--queues",
            metavar="a,b",
            multiple=True,
            help="Queues to serve, best first; a=3,b=1 gives them weights; may be repeated.  [default: the default "
            "queue]",
        ),
        click.option(
            "--strategy",
            metavar="NAME",
            help="From which queue to take next: " + ", ".join(STRATEGIES) + ", or one that a package adds.  "
            "[default: weighted where queues have weights, else the setting]",
        ),
        broker_option,
        click.option(
            "-c",
            "--concurrency",
            type=click.IntRange(1, max(SLOTS_MAX.values())),
            metavar="N",
            help="Tasks that run at once, of a pool without :N.  [default: a process per CPU; 16 threads; 1000 "
            "coroutines]",
        ),
        path_option,
        app_option,
        click.argument("app_argument", metavar="[APP]", required=False),
    ):
        decorated = decorate(decorated)
    return decorated


def resolved(
    given: Mapping[str, Any], environ: MutableMapping[str, str], cwd: Path, *, takes_mesh: bool = True
) -> WorkerOptions:
    """Return the worker that is meant.

    The command line counts first, then TASKMESH_APP, then the file of `--config`, then the app in the settings file.

    Args:
        given: What the command line gave, by name.
        environ: The variables of the process; the address of a broker is put there, for those that it starts.
        cwd: The current folder.
        takes_mesh: Whether the command can be given the name of a mesh instead of an app.

    Raises:
        Failure: Neither app nor mesh is known.
        UsageError: A queue, a pool, a name or a file is wrong.
    """
    options = dict(given)
    found = app_setting(environ, cwd)
    folder = cwd
    in_file = read_worker_file(Path(options.pop("config"))) if "config" in options else {}
    if "app" in options or "mesh" in options:
        in_file.pop("app", None)
        in_file.pop("mesh", None)
    elif found is not None and (found.source == "TASKMESH_APP" or not {"app", "mesh"} & in_file.keys()):
        in_file.pop("mesh", None)
        options["app"] = found.app
        folder = Path(found.folder)
    for one, other in (("autoscale", "concurrency"), ("concurrency", "autoscale")):
        if one in options and other not in options:
            in_file.pop(other, None)  # the command line says it otherwise
    options = {**in_file, **options}
    app, mesh = options.get("app", ""), options.get("mesh", "")
    if app and mesh:
        raise click.UsageError("give either an app or the name of a mesh (--mesh), not both")
    if not app and not mesh:
        or_mesh = ", or --mesh NAME for tasks that are sent by value" if takes_mesh else ""
        raise Failure(f"which app? {HOW}{or_mesh}", EXIT_USAGE)
    if options.get("burst") and (options.get("reload") or options.get("reload_dir")):
        raise click.UsageError("--burst ends when the queues are empty, and --reload never; give one")
    pools = read_pools(options.get("pool", ()))
    least, most = _bounds(options, pools)
    sized(pools, most or options.get("concurrency", 0))
    queues, weights = _queues(options.get("queues", ()))
    soft_s, hard_s = options.get("soft_time_limit", -1.0), options.get("time_limit", -1.0)
    check_limits(max(0.0, soft_s), max(0.0, hard_s))
    name, folders = located(app, cwd, folder) if app else ("", (str(cwd),))
    if "broker" in options:
        environ[VARIABLE] = given_broker(options["broker"])  # for the process that imports the app
    return WorkerOptions(
        app=name,
        mesh=check_mesh_name(mesh) if mesh else "",
        path=tuple(dict.fromkeys([*options.get("path", ()), *folders])),
        concurrency=options.get("concurrency", 0),
        children_max=most,
        children_min=least,
        pools=pools,
        queues=queues,
        weights=weights,
        strategy=chosen_strategy(options.get("strategy", ""), weights),
        name=_name(options.get("name", "")),
        include=_modules(options.get("include", "")),
        log_level=given_level(options.get("log_level", "")),
        log_format=format_of(options.get("log_format", ""), environ, cwd),
        burst=options.get("burst", False),
        has_broker="broker" in options,
        scheduler=not options.get("no_scheduler", False),
        probes=probes_of(options.get("probes"), environ, cwd),
        max_tasks_per_child=options.get("max_tasks_per_child", 0),
        max_memory_per_child=_memory(options.get("max_memory_per_child", 0)),
        nodes_per_worker=options.get("nodes_per_worker", 0),
        grace_s=options.get("grace", -1.0),
        reload=options.get("reload", False) or bool(options.get("reload_dir")),
        reload_dirs=tuple(options.get("reload_dir", ())),
        soft_time_limit_s=soft_s,
        time_limit_s=hard_s,
        start_method=environ.get("TASKMESH_START_METHOD", ""),
    )


def _queues(given: str | tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, int]]:
    parts = (given,) if isinstance(given, str) else given
    names = ",".join(parts).split(",")
    queues: dict[str, None] = {}
    weights: dict[str, int] = {}
    for name in (name.strip() for name in names):
        if name:
            try:
                found, weighed = weighted_queues([name])
            except ValueError as error:
                raise UsageError(f"queue {name!r} (-Q, queues): {error}") from None
            queues[found[0]] = None
            weights |= weighed
    if parts and not queues:
        raise UsageError(f"-Q {parts[0]!r} names no queue: leave it out to serve the default queue")
    return tuple(queues), weights


def given_level(given: str) -> str:
    """Return a level of logging by its name; empty for none."""
    if given and given.upper() not in LOG_LEVELS:
        raise click.UsageError(f"log level {given!r} is unknown; it is one of {', '.join(LOG_LEVELS)}")
    return given.upper()


def _name(given: str) -> str:
    """Return a name with Celery's words for the host filled in: all of it, its first part, the rest."""
    host = socket.gethostname()
    first, _, rest = host.partition(".")
    for word, value in (("%h", host), ("%n", first), ("%d", rest)):
        given = given.replace(word, value)
    if not given.isprintable():  # a byte that is no UTF-8 is not printable either
        raise click.UsageError(f"name {given!r} (-n): expected a printable text, without control characters")
    return given


def _modules(given: str | tuple[str, ...]) -> tuple[str, ...]:
    try:
        found: tuple[str, ...] = modules(given if isinstance(given, str) else ",".join(given))
    except ValueError as error:
        raise click.UsageError(f"--include: {error}") from None
    return found


def _bounds(options: Mapping[str, Any], pools: Sequence[Pool]) -> tuple[int, int]:
    """Return how many children there are at least and at most; (1, 0) for a fixed number."""
    autoscale = options.get("autoscale", "")
    if not autoscale:
        return 1, 0
    if "concurrency" in options or options.get("burst"):
        other = "-c" if "concurrency" in options else "--burst"
        raise click.UsageError(f"--autoscale {autoscale} and {other} contradict; give one")
    if [*pools, Pool()][0] != Pool() or len(pools) > 1:
        raise click.UsageError(
            f"--autoscale {autoscale} is for one pool of processes: pools of threads and of coroutines run many tasks "
            "at once in one process, and take no more than there is"
        )
    try:
        most, _, least = autoscale.partition(",")
        bounds = int(least or 1), int(most)
    except ValueError:
        bounds = 0, 0
    if not 1 <= bounds[0] <= bounds[1] <= SLOTS_MAX[PROCESS]:
        raise click.UsageError(
            f"--autoscale {autoscale}: expected MAX,MIN such as 8,2: whole numbers from 1 to {SLOTS_MAX[PROCESS]}, "
            "the larger one first; or MAX alone, such as 8, for 8,1"
        )
    return bounds


def _memory(given: str | int) -> int:
    try:
        return limit_of_memory(given)
    except ValueError as error:
        raise click.UsageError(f"--max-memory-per-child {given}: {error}") from None
