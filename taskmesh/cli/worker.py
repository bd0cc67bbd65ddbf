"""`taskmesh worker`: one worker, in this process and its children."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from taskmesh.cli.app_path import current_folder
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json
from taskmesh.cli.supervising import CommandSupervisor
from taskmesh.cli.worker_options import resolved, worker_options
from taskmesh.worker.options import WorkerOptions


@click.command(
    epilog=ending(
        examples=[
            "taskmesh worker app:mesh -c 4 -Q mail,default",
            "taskmesh worker app.py --burst -l WARNING",
            "taskmesh worker --mesh shop",
            "taskmesh worker --config workers/general.toml",
        ],
        codes=[
            "0 stopped by Ctrl-C or SIGTERM, or by --burst when the queues were empty",
            "1 the app's import failed, the node cannot be used, or the children cannot live",
        ],
        interrupted="",
    ),
)
@worker_options
@click.option(
    "--mesh", metavar="NAME", help="Without an app: run the tasks that are sent by value to this mesh."
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Read options from the [worker] table of a TOML file; the command line wins.",
)
@json_option
def worker(*, given: dict[str, Any], json_wanted: bool) -> None:
    """Run a worker: processes that take messages and run their tasks.

    APP is module:attribute, or a file such as app.py or src/app.py:mesh. The current folder, or the file's, is where
    it is imported from. This process never imports the app: a template process does and forks the children, so nothing
    that a task does can stop the worker's heartbeat.

    The first Ctrl-C or SIGTERM stops taking messages and lets what runs finish (--grace); the second returns
    everything at once: what runs is killed, without its `finally`, and runs again. Either way nothing is lost.
    With --json, one JSON document is printed at the end.
    """
    options = resolved(given, os.environ, current_folder())
    begun_s = time.monotonic()
    supervisor = CommandSupervisor(options, who="taskmesh worker")
    with output_to_stderr() if json_wanted else nullcontext():
        code = supervisor.run()
    if json_wanted:
        print_json(report(options, supervisor, time.monotonic() - begun_s, code))
    click.get_current_context().exit(code)


@contextmanager
def output_to_stderr() -> Iterator[None]:
    """Have what apps and tasks print go to stderr: stdout is for the document at the end."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def report(
    options: WorkerOptions, supervisor: CommandSupervisor, seconds: float, code: int
) -> dict[str, Any]:
    """Return how a worker ended, for programs."""
    facts = supervisor.facts
    return {
        "mesh": facts.mesh if facts is not None else options.mesh or None,
        "app": options.app or None,
        "name": options.name or None,
        "queues": list(options.queues) or ([facts.default_queue] if facts is not None else []),
        "seconds": round(seconds, 3),
        "exit_code": code,
    }
