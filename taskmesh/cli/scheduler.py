"""`taskmesh scheduler`: a candidate for the lead that runs no tasks."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from taskmesh.cli.app_path import current_folder
from taskmesh.cli.broker_option import broker_option, given_broker
from taskmesh.cli.failure import Failure
from taskmesh.cli.group import ending
from taskmesh.cli.log_format_option import format_of, log_format_option
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.probes_option import probes_of, probes_option
from taskmesh.cli.stop_signals import StopSignals
from taskmesh.cli.target import Target, chosen, target_options
from taskmesh.cli.worker_file import read_scheduler_file
from taskmesh.cli.worker_options import given_level
from taskmesh.config.settings import LOG_LEVELS, check_mesh_name
from taskmesh.config.sources import VARIABLE_PREFIX
from taskmesh.errors import NodeUnavailable
from taskmesh.scheduler.candidate import Standing, declared_in
from taskmesh.worker.locate import importing
from taskmesh.worker.logs import set_up_logging
from taskmesh.worker.service import Service

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.cli.scheduler_broker import SchedulerBroker
    from taskmesh.cli.scheduler_probes import SchedulerProbes

log = logging.getLogger("taskmesh.scheduler")
APP_VARIABLE = VARIABLE_PREFIX + "APP"
#: How often to see whether the candidate is still one.
LOOK_S = 1.0


@click.command(
    epilog=ending(
        examples=[
            "taskmesh scheduler app:mesh",
            "taskmesh scheduler --mesh shop -l DEBUG",
            "taskmesh scheduler --config workers/scheduler.toml",
        ],
        codes=[
            "0 ended by Ctrl-C or SIGTERM",
            "1 the app's import failed, the node refuses or was not there in time, or an error that nobody expected",
        ],
        interrupted="",
    ),
)
@click.argument("app_argument", metavar="[APP]", required=False)
@click.option(
    "-l",
    "--log-level",
    "--loglevel",
    "log_level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    metavar="LEVEL",
    help="How much to say on stderr: DEBUG, INFO, WARNING, ERROR, CRITICAL.  [default: INFO]",
)
@click.option("-n", "--name", metavar="NAME", help="Name for people.  [default: host and pid]")
@log_format_option
@broker_option
@probes_option
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Read options from the [scheduler] table of a TOML file; the command line wins.",
)
@target_options()
@json_option
def scheduler(
    *,
    app_argument: str | None,
    log_level: str | None,
    name: str | None,
    log_format: str | None,
    broker: str | None,
    probes: str | None,
    config: str | None,
    target: Target,
    json_wanted: bool,
) -> None:
    """Stand for leader: whoever is elected fires the schedules of the mesh. This process runs no tasks.

    Any number may run; every `taskmesh worker` stands, too, unless it is given --no-scheduler. When the leader dies,
    another takes over within 8 seconds; when it is stopped by Ctrl-C or SIGTERM, within half a second. Schedules in
    the code of APP are defined when this starts.
    """
    if app_argument:
        given = click.get_current_context().params  # not what surrounds it, such as TASKMESH_APP
        if given.get("mesh") or given.get("app") not in (None, app_argument):
            raise click.UsageError("the app is given twice: as an argument and with -A or --mesh")
        target = chosen(app_argument, None, target.path)
    in_file = read_scheduler_file(Path(config)) if config else {}
    target = _meant(target, in_file, is_given=bool(app_argument))
    broker, name = broker or in_file.get("broker"), name or in_file.get("name")
    begun_s = time.monotonic()
    where = probes_of(in_file.get("probes") if probes is None else probes, os.environ, current_folder())
    level = log_level or given_level(in_file.get("log_level", "")) or "INFO"
    form = format_of(log_format or in_file.get("log_format"), os.environ, current_folder())
    stop_signals = StopSignals()
    mesh = target.load()
    click.get_current_context().call_on_close(mesh.close)
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    service = Service(os.environ)
    probed = _serve_probes(name, mesh, mesh.settings.probes if where is None else where)

    def waits(why: str) -> None:
        service.turned(lambda: [why])
        if probed is not None:
            probed.waits(why)
            probed.turned()

    if not _reached(target, mesh, stop_signals, waits):
        return
    if broker:
        mesh.use_broker(given_broker(broker))
    if target.app:
        with importing(target.app):
            mesh.import_tasks()
    set_up_logging(level.upper(), form or mesh.settings.log_format)
    standing = Standing(
        mesh.link,
        mesh.agreement,
        name,
        declared=declared_in(mesh.declared_schedules()),
        broker=mesh.broker,
    )
    standing.start()
    if probed is not None:
        probed.stands(standing)
        log.info("probes of scheduler %s: %s", name, probed.url)
    log.info("%s stands for leader of mesh %r on %s", name, mesh.name, mesh.link.driver.address)
    heard = _broker_of(mesh, name, probed)
    while standing.is_alive and not stop_signals.wait(LOOK_S):
        service.turned(
            lambda: [standing.hindrance] if standing.hindrance else [], heard.remarks if heard else tuple
        )
        if probed is not None:
            probed.turned()
    if not standing.is_alive:
        raise click.exceptions.Exit(1)  # it has said why
    service.stops("it resigns")
    if probed is not None:
        probed.stops()
    if heard is not None:
        heard.stop()
    standing.join()
    log.info("%s has stopped", name)
    if json_wanted:
        print_json({"mesh": mesh.name, "app": target.app or None, "seconds": time.monotonic() - begun_s})


def _broker_of(mesh: TaskMesh, name: str, probed: SchedulerProbes | None) -> SchedulerBroker | None:
    """Begin to look how the broker is, where there is one."""
    if mesh.broker is None:
        return None
    from taskmesh.cli.scheduler_broker import SchedulerBroker

    heard = SchedulerBroker(mesh.broker, mesh.settings.default_queue, name).start()
    if probed is not None:
        probed.has(heard)
    return heard


def _reached(target: Target, mesh: TaskMesh, stop_signals: StopSignals, waits: Callable[[str], None]) -> bool:
    """Open the mesh once a node of it is there, as a worker waits for that; tell whether that was before the end.

    Args:
        target: What was asked for.
        mesh: Of it.
        stop_signals: That end this process.
        waits: Told what it waits for, again and again.

    Raises:
        Failure: The node refuses, or was not there within `startup_timeout`.
    """
    within_s, begun_s = mesh.settings.startup_timeout, time.monotonic()
    is_told = False
    while True:
        try:
            target.reach(mesh)
        except Failure as failure:
            cause = failure.__cause__
            is_late = within_s > 0 and time.monotonic() - begun_s >= within_s
            if not isinstance(cause, NodeUnavailable) or cause.lasts or is_late or not mesh.settings.nodes:
                raise
            if not is_told:
                say(f"{failure.message}; the scheduler waits for it")
            is_told = True
            waits(f"it waits for its nodes: {failure.message}")
        else:
            return True
        if stop_signals.wait(LOOK_S):
            return False


def _meant(target: Target, in_file: Mapping[str, Any], *, is_given: bool) -> Target:
    """Return the target by the command line, else by TASKMESH_APP, else by the file, else by the settings file."""
    context = click.get_current_context()
    given = context.params.get("app") or context.params.get("mesh") or context.find_root().params.get("app")
    path = (*target.path, *in_file.get("path", ()))
    if is_given or given or os.environ.get(APP_VARIABLE) or not {"app", "mesh"} & in_file.keys():
        return replace(target, path=path)
    if in_file.get("mesh"):
        check_mesh_name(in_file["mesh"])
    return Target(app=in_file.get("app", ""), mesh=in_file.get("mesh", ""), path=path)


def _serve_probes(name: str, mesh: TaskMesh, where: str | None) -> SchedulerProbes | None:
    """Serve probes until this command ends, if that is wanted."""
    if not where:
        return None
    from taskmesh.cli.scheduler_probes import SchedulerProbes

    probed = SchedulerProbes(name, mesh.link, mesh.agreement, where)
    click.get_current_context().call_on_close(probed.close)
    return probed
