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
from taskmesh.nodes import embedded

#: How long the node may take to notice that the worker's connections are closed.
NOTICE_S = 1.0


@click.command(
    epilog=ending(
        examples=["taskmesh up app:mesh", "taskmesh up app.py -c 4"],
        codes=["0 ended by Ctrl-C or SIGTERM", "1 the app's import failed, or the node cannot be used"],
        interrupted="",
    ),
)
@worker_options
@json_option
def up(*, given: dict[str, Any], json_wanted: bool) -> None:
    """Run all that an app needs in this terminal: its node and workers.

    Ctrl-C ends what was started: the worker finishes what runs; the embedded node, if it did not run before and nobody
    else uses it now, is stopped, and its data stays. With nodes of its own (nodes=[...]), the app gets a worker only.
    """
    options = resolved(given, os.environ, current_folder(), takes_mesh=False)
    before = {node.mesh for node in embedded.running()}
    begun_s = time.monotonic()
    supervisor = CommandSupervisor(options)
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
    """Stop the embedded node that came with this command, unless others use it; tell whether it is stopped."""
    node = next((node for node in embedded.running() if node.mesh == mesh), None)
    if node is None:
        return True
    deadline_s = time.monotonic() + NOTICE_S
    while clients_of(node):
        if time.monotonic() > deadline_s:
            say(
                f"left the embedded node of mesh {mesh} alone: others use it (`taskmesh down --mesh {mesh}` stops it)"
            )
            return False
        time.sleep(0.02)
    embedded.stop(mesh)
    say(f"stopped the embedded node of mesh {mesh}; its data stays")
    return True
