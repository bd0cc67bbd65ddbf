"""`taskmesh call`: send a message from the shell."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Never

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.celery_options import OF_CALL, refused_options
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.group import ending
from taskmesh.cli.outcome_view import as_document, as_tables, view_of
from taskmesh.cli.output import json_option, print_json, say, show
from taskmesh.cli.seconds import Seconds
from taskmesh.cli.target import Target, target_options
from taskmesh.client.result import AsyncResult
from taskmesh.client.task import Task
from taskmesh.worker.locate import importing

_NEGATIVE = re.compile(r"-\.?\d")
#: Marks an argument that click would take for an option; no argument of a process can hold this character.
_MARK = "\0"
_TOO_DEEP = "is nested too deeply to be read as JSON; give something flatter, or send it from Python"


class _TakesNegativeNumbers(click.Command):
    """A command whose arguments may be negative numbers: none of its options looks like one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with negative numbers marked so that they are not taken for options."""
        valued = {
            word
            for parameter in self.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for word in parameter.opts
        }
        before = ["", *args]
        marked = [
            _MARK + word if _NEGATIVE.match(word) and before[at] not in valued else word
            for at, word in enumerate(args)
        ]
        return super().parse_args(ctx, marked)


@click.command(
    cls=_TakesNegativeNumbers,
    epilog=ending(
        examples=[
            "taskmesh call add 1 2 -A app:mesh --wait 5",
            """taskmesh call app.send_mail ann@example.org --kwargs '{"body": "hi"}' --queue slow""",
            "taskmesh call report --priority 9 --countdown 10m --expires 1h",
        ],
        codes=[
            "0 sent; with --wait: it succeeded",
            "1 not sent, or sent and its id cannot be written; with --wait: it failed or has not ended in time",
        ],
    ),
)
@click.argument("name")
@click.argument("args", nargs=-1)
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Keyword arguments, as a JSON object.")
@click.option(
    "--wait", "wait_s", type=Seconds(), metavar="S", help="Wait so long for the result: seconds, or 1m."
)
@click.option("--queue", metavar="QUEUE", help="Where it goes, instead of the task's own queue.")
@click.option("--priority", type=click.IntRange(0, 9), metavar="N", help="0 to 9; higher is sooner.")
@click.option("--countdown", metavar="S", help="Not before so long from now: seconds, or 10m, 2h.")
@click.option("--expires", metavar="S", help="To be begun within so long from now, or not at all.")
@refused_options(OF_CALL)
@target_options(mesh=False)
@json_option
def call(
    *,
    name: str,
    args: tuple[str, ...],
    kwargs_text: str | None,
    wait_s: float | None,
    queue: str | None,
    priority: int | None,
    countdown: str | None,
    expires: str | None,
    target: Target,
    json_wanted: bool,
) -> None:
    """Send a message to a task from the shell.

    NAME is the task's name, or the end of it where only one fits: `add` for `app.add`. Each of ARGS is read as JSON
    if it is that (1, true, null, [1,2], "text"), else taken as text. Put -- in front of texts that begin with a dash.
    Prints the id; with --wait what came of it.
    """
    mesh = target.open_app()
    target.advise(mesh)
    task = mesh.tasks[full_name(name, mesh)]
    handle = task.apply_async(
        [argument(word) for word in args],
        keyword_arguments(kwargs_text),
        queue=queue,
        priority=priority,
        countdown=countdown,
        expires=expires,
    )
    try:
        _tell(mesh, task, handle, queue=queue, wait_s=wait_s, json_wanted=json_wanted)
    except BrokenPipeError:
        raise  # who read it has enough: `main` ends quietly
    except OSError as error:
        told = f"{error.strerror}; the message was sent all the same, its id is {handle.id}"
        raise OSError(error.errno, told) from error


def _tell(
    mesh: TaskMesh,
    task: Task[..., Any],
    handle: AsyncResult[Any],
    *,
    queue: str | None,
    wait_s: float | None,
    json_wanted: bool,
) -> None:
    """Print the id of a message that was sent or, after a wait, what came of it, and exit."""
    if wait_s is None:
        sent = {
            "id": handle.id,
            "task": task.name,
            "queue": queue or task.send_options({}).queue,
        }
        if json_wanted:
            print_json(sent)
        else:
            click.echo(handle.id)
        return
    view = view_of(mesh, handle, wait_s)
    if json_wanted:
        print_json({"task": task.name, **as_document(view)})
    else:
        show(*as_tables(view))
    if view.is_late:
        say(f"not ended within {wait_s:g} s; `taskmesh result {handle.id}` tells later")
    click.get_current_context().exit(view.exit_code)


def full_name(name: str, mesh: TaskMesh) -> str:
    """Return the registered name that was meant.

    Raises:
        Failure: None or several fit.
    """
    if name in mesh.tasks:
        return name
    with importing(mesh.name):
        mesh.import_tasks()
    if name in mesh.tasks:
        return name
    known = sorted(mesh.tasks)
    fitting = [other for other in known if other.endswith("." + name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Failure(
            f"several tasks of mesh {mesh.name!r} end in {name!r}: {', '.join(fitting)}", EXIT_USAGE
        )
    if not known:
        raise Failure(f"mesh {mesh.name!r} has no tasks: decorate a function with @mesh.task", EXIT_USAGE)
    near = _nearest(name, known)
    hint = f"did you mean {near}?" if near else f"it has {', '.join(known[:20])}{', …' if known[20:] else ''}"
    raise Failure(f"mesh {mesh.name!r} has no task {name!r}; {hint}", EXIT_USAGE)


def _nearest(name: str, known: Sequence[str]) -> str:
    ends = {other.rpartition(".")[2]: other for other in known}
    near = get_close_matches(name, known, n=1) or [ends[end] for end in get_close_matches(name, ends, n=1)]
    return near[0] if near else ""


def argument(word: str) -> Any:
    """Return what a word of the command line means: JSON if it is that, else the text."""
    word = word.removeprefix(_MARK)
    try:
        return json.loads(word, parse_constant=_no_constant)
    except RecursionError:
        raise click.BadParameter(f"{word[:20]!r}... {_TOO_DEEP}", param_hint="'ARGS'") from None
    except ValueError:
        return word


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def keyword_arguments(text: str | None) -> dict[str, Any]:
    """Return the keyword arguments in a JSON object.

    Raises:
        BadParameter: It is not one.
    """
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except RecursionError:
        raise click.BadParameter(f"{text[:20]!r}... {_TOO_DEEP}", param_hint="'--kwargs'") from None
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="'--kwargs'") from error
    if not isinstance(found, dict):
        raise click.BadParameter(
            f'expected a JSON object such as {{"x": 1}}, not {type(found).__name__}', param_hint="'--kwargs'"
        )
    return found
