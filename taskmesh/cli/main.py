"""`taskmesh`: all commands, each imported when it is run. Loads neither a connection nor a table.

What a command may meet is handled here once: errors of TaskMesh become one line on stderr and an exit code,
Ctrl-C becomes 130, and a reader that has gone (`taskmesh dead list | head -1`) is no error at all.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from taskmesh.cli.failure import EXIT_INTERRUPTED, Failure
from taskmesh.cli.group import LazyGroup
from taskmesh.core.version import VERSION
from taskmesh.errors import TaskMeshError

SECTIONS = {
    "Start": {
        "demo": (
            "taskmesh.cli.demo.command:demo",
            "Show TaskMesh at work on real files, with nothing configured.",
        ),
        "worker": (
            "taskmesh.cli.worker:worker",
            "Run a worker: processes that take messages and run their tasks.",
        ),
        "scheduler": (
            "taskmesh.cli.scheduler:scheduler",
            "Stand for leader: whoever is elected fires the schedules of the mesh.",
        ),
        "up": ("taskmesh.cli.up:up", "Run all that an app needs in this terminal: its nodes and workers."),
    },
    "Look": {
        "status": (
            "taskmesh.cli.status:status",
            "Show a mesh at a glance: its nodes, workers, schedulers, queues and totals.",
        ),
        "queues": ("taskmesh.cli.queues:queues", "Show the queues: what waits in each, and who serves it."),
        "workers": ("taskmesh.cli.workers:workers", "Show the workers: where they run and what they serve."),
        "top": (
            "taskmesh.cli.top.command:top",
            "Watch a mesh in one screen: queues, workers, nodes, the leader, tasks.",
        ),
        "events": (
            "taskmesh.cli.events:events",
            "Follow what happens: messages, crashes, workers, the leader, the nodes.",
        ),
        "leader": (
            "taskmesh.cli.leader:leader",
            "Show the leader: who fires schedules, since when, with which token, and the last handovers.",
        ),
        "inspect": (
            "taskmesh.cli.inspect:inspect",
            "Look at what workers do: what runs, what is claimed, what waits.",
        ),
        "result": ("taskmesh.cli.result:result", "Show the state of a task and what came of it."),
        "nodes": (
            "taskmesh.cli.nodes:nodes",
            "Show the servers of a mesh: the nodes with its messages, and the acceptors.",
        ),
        "ring": (
            "taskmesh.cli.ring:ring",
            "Plan which nodes would keep which slots of a mesh.",
        ),
        "probe": (
            "taskmesh.cli.probe:probe",
            "Ask a worker or scheduler that serves probes how it is: for health checks of containers.",
        ),
        "doctor": (
            "taskmesh.cli.doctor.command:doctor",
            "Check this machine and a mesh, and say what to do.",
        ),
        "config": ("taskmesh.cli.config:config", "Show every setting, its value and where that came from."),
    },
    "Act": {
        "call": ("taskmesh.cli.call:call", "Send a message to a task from the shell."),
        "queue": ("taskmesh.cli.queue:queue", "Pause queues, let them go on, weigh, list and forget them."),
        "task": ("taskmesh.cli.task:task", "Say how often a task may start, while everything runs."),
        "schedule": (
            "taskmesh.cli.schedule:schedule",
            "Look at schedules, add, pause and remove them, and see when they fire.",
        ),
        "revoke": ("taskmesh.cli.revoke:revoke", "Revoke tasks by their ids."),
        "purge": ("taskmesh.cli.purge:purge", "Revoke every message that waits in a queue."),
        "dead": ("taskmesh.cli.dead:dead", "Look at dead letters, send them again, or drop them."),
        "lock": (
            "taskmesh.cli.lock:lock",
            "Look at locks, semaphores and elections, and break one that is stuck.",
        ),
        "files": (
            "taskmesh.cli.files:files",
            "Read, write and watch the small files that all processes of a mesh share.",
        ),
        "transaction": (
            "taskmesh.cli.transaction:transaction",
            "Look at transactions: what was decided, and how far it is.",
        ),
        "acceptors": (
            "taskmesh.cli.acceptors:acceptors",
            "See and change who keeps what is agreed upon: leader, schedules, locks, files, settings of queues.",
        ),
        "key": ("taskmesh.cli.key:key", "Make the key that signs everything, and change it."),
        "down": ("taskmesh.cli.down:down", "Stop embedded nodes; their data stays."),
    },
}


#: What a full or broken disk below standard output says.
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Main(LazyGroup):
    """The group of all commands, and what becomes of their errors."""

    def instead_of(self, name: str) -> str:
        """Return what there is instead of a command of Celery."""
        from taskmesh.cli.celery_commands import INSTEAD

        return INSTEAD.get(name, "")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; `beat` is what Celery's users know `scheduler` as."""
        return super().resolve_command(ctx, ["scheduler", *args[1:]] if args[0] == "beat" else args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command; --help and --version print here."""
        with _writing(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        if sys.stdout is None:
            # what is opened next would take its number, and get what children print
            raise Failure("standard output is closed; send it somewhere, such as >/dev/null")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal may not be able to say everything
        try:
            with _writing(ctx):
                value = super().invoke(ctx)
                sys.stdout.flush()  # here, where a reader that has gone is harmless, and not at exit
        except TaskMeshError as error:
            failure = Failure.of(error)
            failure.who = f"{ctx.command_path} {ctx.invoked_subcommand}"
            raise failure from error
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(EXIT_INTERRUPTED)
        return value


@contextmanager
def _writing(ctx: click.Context) -> Iterator[None]:
    """Let a reader that has gone be no error, and a full disk below standard output one line."""
    try:
        yield
    except BrokenPipeError:
        _drop_output()
        ctx.exit(0)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _drop_output()
        raise Failure(f"cannot write: {error.strerror}") from error


def _drop_output() -> None:
    """Let what is still to be printed vanish: nobody reads it."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


@click.group(
    cls=Main,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nNew here?\n  taskmesh demo\n  taskmesh COMMAND --help",
)
@click.option("-A", "--app", metavar="APP", help="The app, module:attribute, for any command after it.")
@click.version_option(VERSION, message="taskmesh %(version)s")
def cli(*, app: str | None) -> None:
    """A distributed task queue that needs no server to start with.

    A command finds its mesh by -A/--app (module:attribute, or a file such as app.py), by TASKMESH_APP, or by `app`
    in taskmesh.toml or in [tool.taskmesh] of pyproject.toml. Where no app is needed, --mesh NAME serves as well; a
    command that only looks takes the embedded mesh that runs, where it is the only one.
    """
    del app  # read by the commands, see `target`


def main() -> None:
    """Run the command line and exit."""
    cli.main(prog_name="taskmesh")


if __name__ == "__main__":
    main()
