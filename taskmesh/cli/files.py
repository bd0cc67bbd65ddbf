"""`taskmesh files`: the small files that all processes of a mesh share."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import click

from taskmesh.cli.failure import EXIT_FAILURE, Failure
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.client.files import check_path, check_prefix
from taskmesh.coordination.file import File
from taskmesh.coordination.file_state import SIZE_MAX
from taskmesh.errors import PayloadTooLarge

F = TypeVar("F", bound=Callable[..., Any])

_REACH = "1 the node or the acceptors cannot be reached, or there is no such mesh"


def _version_option(function: F) -> F:
    return click.option(
        "--if-version",
        type=click.IntRange(min=0),
        help="Only if the file is at this version; 0: if there is none.",
    )(function)


def _fence_option(function: F) -> F:
    return click.option(
        "--fence", type=click.IntRange(min=1), help="A token: needed where the file was written with one."
    )(function)


@click.group(cls=SuggestingGroup)
def files() -> None:
    """Read, write and watch the small files that all processes of a mesh share."""


def _document(file: File, *, data: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": file.path,
        "version": file.version,
        "size": len(file.data),
        "instance": file.instance,
        "generation": file.generation,
        "ephemeral": file.ephemeral,
        "fence": file.fence,
    }
    if data:
        try:
            document["text"] = file.text
        except UnicodeDecodeError:
            document["base64"] = base64.b64encode(file.data).decode()
    return document


@files.command(
    epilog=ending(
        examples=["taskmesh files ls -A app:mesh", "taskmesh files ls config/ --mesh shop --json"],
        codes=["0 shown, also when there are none", _REACH],
    )
)
@click.argument("prefix", default="")
@target_options()
@json_option
def ls(*, prefix: str, target: Target, json_wanted: bool) -> None:
    """List files, all or those whose path begins so."""
    check_prefix(prefix)
    found = target.look().files.list(prefix)
    if json_wanted:
        print_json([_document(file) for file in found])
        return
    rows = [
        (file.path, str(file.version), len(file.data), "yes" if file.ephemeral else "", str(file.fence or ""))
        for file in found
    ]
    show(
        table(
            "Files",
            ("path", "version", "bytes", "ephemeral", "token"),
            rows,
            numbers=("version", "bytes", "token"),
        )
    )


@files.command(
    epilog=ending(
        examples=["taskmesh files cat config/limits -A app:mesh", "taskmesh files cat config/limits --json"],
        codes=["0 shown", "1 there is no such file, or the acceptors cannot be reached"],
    )
)
@click.argument("at", metavar="PATH")
@target_options()
@json_option
def cat(*, at: str, target: Target, json_wanted: bool) -> None:
    """Print what a file holds."""
    file = target.look().files.read(check_path(at))
    if file is None:
        raise Failure(f"there is no file {at}", EXIT_FAILURE)
    if json_wanted:
        print_json(_document(file, data=True))
    else:
        click.echo(file.data, nl=False)


@files.command(
    epilog=ending(
        examples=[
            "echo rate=5 | taskmesh files put config/limits -A app:mesh",
            "taskmesh files put config/limits limits.toml --if-version 0",
        ],
        codes=[
            "0 written",
            "1 it is at another version, the token is too old, or the acceptors cannot be reached",
        ],
    )
)
@click.argument("at", metavar="PATH")
@click.argument("source", type=click.File("rb"), default="-")
@_version_option
@_fence_option
@target_options()
@json_option
def put(
    *,
    at: str,
    source: BinaryIO,
    if_version: int | None,
    fence: int | None,
    target: Target,
    json_wanted: bool,
) -> None:
    """Write a file from a file of this machine, or from standard input."""
    check_path(at)
    data = source.read(SIZE_MAX + 1)  # no more: it may be a pipe without an end
    if len(data) > SIZE_MAX:
        raise PayloadTooLarge(
            f"file {at}: what is to be written has more than {SIZE_MAX} bytes, and no more fit in one. Keep the data "
            "elsewhere, and where it is in the file",
            size=len(data),
            limit=SIZE_MAX,
        )
    file = target.open().files.write(at, data, if_version=if_version, fence=fence)
    if json_wanted:
        print_json(_document(file))
    else:
        click.echo(f"{at} is at version {file.version}")


@files.command(
    epilog=ending(
        examples=[
            "taskmesh files rm config/limits -A app:mesh",
            "taskmesh files rm config/limits --if-version 7",
        ],
        codes=["0 it is no more, also where it was not", "1 as of put"],
    )
)
@click.argument("at", metavar="PATH")
@_version_option
@_fence_option
@target_options()
@json_option
def rm(*, at: str, if_version: int | None, fence: int | None, target: Target, json_wanted: bool) -> None:
    """Delete a file."""
    check_path(at)
    existed = target.open().files.delete(at, if_version=if_version, fence=fence)
    if json_wanted:
        print_json({"path": at, "existed": existed})
    else:
        click.echo(f"{at} is deleted" if existed else f"there was no file {at}")


@files.command(
    epilog=ending(
        examples=["taskmesh files watch config/ -A app:mesh", "taskmesh files watch config/limits --json"],
        codes=["130 ended by Ctrl-C", _REACH],
    )
)
@click.argument("at", metavar="[PATH]", default="")
@target_options()
@click.option("--json", "json_wanted", is_flag=True, help="Print a JSON document a line.")
def watch(*, at: str, target: Target, json_wanted: bool) -> None:
    """Print what happens to a file, or to all in a folder, which ends with a slash; what there is comes first."""
    mesh = target.look()
    # what cannot be reached at all is said now, and not waited for
    mesh.files.list(check_prefix(at))
    with mesh.files.watch(at) as changes:
        for event in changes:
            if json_wanted:
                file = None if event.file is None else _document(event.file, data=True)
                click.echo(json.dumps({"kind": event.kind, "path": event.path, "file": file}))
            else:
                version = f" version {event.file.version}" if event.file is not None else ""
                click.echo(f"{event.kind} {event.path}{version}")
