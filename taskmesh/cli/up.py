"""`taskmesh up`: all that an app needs, in one terminal."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from typing import Any

import click

from taskmesh.cli.app_path import current_folder
from taskmesh.cli.down import clients_of
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.supervising import CommandSupervisor
from taskmesh.cli.worker import output_to_stderr, report
from taskmesh.cli.worker_options import resolved, worker_options
from taskmesh.config.settings import EMBEDDED_NODES_MAX
from taskmesh.config.sources import VARIABLE_PREFIX
from taskmesh.nodes import embedded

NODES = VARIABLE_PREFIX + "EMBEDDED_NODES"

#: How long the node may take to notice that the worker's connections are closed.
NOTICE_S = 3.0


@click.command(
    epilog=ending(
        examples=["taskmesh up app:mesh", "taskmesh up app.py -c 4", "taskmesh up app:mesh --nodes 3"],
        codes=["0 ended by Ctrl-C or SIGTERM", "1 the app's import failed, or the node cannot be used"],
        interrupted="",
    ),
)
@click.option(
    "--nodes",
    type=click.IntRange(1, EMBEDDED_NODES_MAX),
    metavar="N",
    help="How many embedded nodes a new mesh is made with; it keeps that number.  [default: what it has, or 1]",
)
@worker_options
@json_option
def up(*, given: dict[str, Any], json_wanted: bool) -> None:
    """Run all that an app needs in this terminal: its nodes and workers.

    Ctrl-C ends what was started: the worker finishes what runs; the embedded nodes, if they did not run before and
    nobody else uses them now, are stopped, and their data stays. With nodes of its own (nodes=[...]), the app gets a
    worker only.
    """
    nodes = given.pop("nodes", 0)
    options = resolved(given, os.environ, current_folder(), takes_mesh=False)
    if nodes:
        os.environ[NODES] = str(nodes)  # for the process that imports the app
    before = {node.mesh for node in embedded.running()}
    begun_s = time.monotonic()
    supervisor = CommandSupervisor(options, who="taskmesh up", nodes=nodes)
    code = 1
    stopped = False
    try:
        with output_to_stderr() if json_wanted else nullcontext():
            code = supervisor.run()
    finally:
        facts = supervisor.facts
        if facts is not None and facts.embedded and facts.mesh not in before:
            stopped = _stop_unless_used(facts.mesh)
    if json_wanted:
        document = report(options, supervisor, time.monotonic() - begun_s, code)
        print_json({**document, "node_stopped": stopped})
    click.get_current_context().exit(code)


def _stop_unless_used(mesh: str) -> bool:
    """Stop the embedded nodes that came with this command, unless others use them; tell whether they are stopped."""
    nodes = [node for node in embedded.running() if node.mesh == mesh]
    if not nodes:
        return True
    called = embedded.called(mesh, len(nodes))
    deadline_s = time.monotonic() + NOTICE_S
    while any(map(clients_of, nodes)):
        if time.monotonic() > deadline_s:
            say(
                f"left {called} alone, which others use (`taskmesh down --mesh {mesh}` stops them all the same)"
            )
            return False
        time.sleep(0.02)
    embedded.stop(mesh)
    say(f"stopped {called}; its data stays")
    return True
